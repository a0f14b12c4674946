"""Kubernetes quantities and durations as integers with a unit, and URLs that are safe to show.

Sources: quantity syntax from ``k8s.io/apimachinery/pkg/api/resource`` (only what makes sense for cpu and memory);
duration syntax from Gateway API GEP-2257.
"""

import re
from decimal import Decimal
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

#: As the API server accepts them: a non-negative number with an optional SI or binary suffix.
QUANTITY_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,3})?(m|k|Ki|M|Mi|G|Gi)?$"
DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"

_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "Ki": Decimal(2**10),
    "M": Decimal(10**6),
    "Mi": Decimal(2**20),
    "G": Decimal(10**9),
    "Gi": Decimal(2**30),
}
_DURATION_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def _parse(text: str) -> Decimal:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", text)
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"{text!r} is not a quantity such as 250m, 1, 64Mi or 1Gi")
    return Decimal(match[1]) * _FACTORS[match[2]]


def parse_cpu(text: str) -> int:
    """CPU as millicores, rounded up: ``"250m"`` is 250, ``"2"`` is 2000.

    Raises:
        ValueError: the text is not a quantity.
    """
    return -int(-(_parse(text) * 1000) // 1)


def parse_memory(text: str) -> int:
    """Memory as bytes, rounded up: ``"64Mi"`` is 67,108,864.

    Raises:
        ValueError: the text is not a quantity.
    """
    return -int(-_parse(text) // 1)


def format_cpu(millicores: int) -> str:
    """Millicores in the API server's own spelling, so that applying it again changes nothing."""
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def format_memory(size: int) -> str:
    """Bytes in the largest binary unit that is exact, as the API server would spell it."""
    for suffix, factor in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if size and size % factor == 0:
            return f"{size // factor}{suffix}"
    return str(size)


def parse_duration(text: str) -> float:
    """A duration such as ``10s``, ``1m30s`` or ``500ms`` in seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    if re.fullmatch(DURATION_PATTERN, text) is None:
        raise ValueError(f"{text!r} is not a duration such as 10s, 1m30s or 500ms")
    return sum(int(number) * _DURATION_SECONDS[unit] for number, unit in re.findall(r"([0-9]+)(h|ms|m|s)", text))


def redact_url(url: str) -> str:
    """A URL that may be shown: scheme, host, port and path. User info and query are left out.

    Cheap cameras take user and password as query parameters, so the query is as secret as the user info.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _checked(value: str) -> str:
    _parse(value)
    return value


def _checked_duration(value: str) -> str:
    parse_duration(value)
    return value


_Quantity = (BeforeValidator(_as_text), AfterValidator(_checked))
#: CPU cores, for example ``20m`` or ``1``.
CpuQuantity = Annotated[str, *_Quantity, Field(json_schema_extra={"x-kubernetes-int-or-string": True})]
#: Bytes of memory, for example ``64Mi``.
MemoryQuantity = Annotated[str, *_Quantity, Field(json_schema_extra={"x-kubernetes-int-or-string": True})]
#: A length of time, for example ``10s`` or ``1m30s``.
Duration = Annotated[
    str,
    AfterValidator(_checked_duration),
    Field(max_length=24, json_schema_extra={"pattern": DURATION_PATTERN}),
]

"""Kubernetes quantities and durations as integers with a unit, and URLs that are safe to show.

Sources: quantity syntax from ``k8s.io/apimachinery/pkg/api/resource`` (only what makes sense for cpu and memory);
duration syntax from Gateway API GEP-2257.
"""

import math
import re
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from camera_api.base import rule, rules

DURATION_PATTERN = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"

# What the API server lets in is narrower than what is read back: no bytes in thousandths, no cores in Gi.
_CPU_PATTERN = r"^[0-9]{1,6}(\\.[0-9]{1,3})?m?$"
_MEMORY_PATTERN = r"^[0-9]{1,12}(\\.[0-9]{1,3})?(k|Ki|M|Mi|G|Gi)?$"

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
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_AUTHORITY_END = re.compile(r"[/?#]")
# The path is cut at a segment that holds a parameter: where its value ends, each vendor decides otherwise.
_CREDENTIALS_IN_PATH = re.compile(r"/[^/]*=.*", re.DOTALL)
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
    return math.ceil(_parse(text) * 1000)


def parse_memory(text: str) -> int:
    """Memory as bytes, rounded up: ``"64Mi"`` is 67,108,864.

    Raises:
        ValueError: the text is not a quantity.
    """
    return math.ceil(_parse(text))


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
    """A URL that may be shown: scheme, host, port and path. User info and query are left out. Never fails.

    Cheap cameras take user and password as query parameters or in the path (``/user=admin&password=``), so those are
    as secret as the user info. An ``@`` behind the host may belong to a password that holds a ``/``; nobody can tell
    then what is a host and what is not, and only the scheme is shown.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or _SCHEME.fullmatch(scheme) is None:
        return "(not a URL)"
    if "@" in rest and _AUTHORITY_END.search(rest, 0, rest.rindex("@")):
        return f"{scheme}://…"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme}://…"
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        port = ""
    path = _CREDENTIALS_IN_PATH.sub("/…", parts.path)
    return f"{parts.scheme}://{host}{port}{path}"


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _checked(value: str) -> str:
    _parse(value)
    return value


def _checked_duration(value: str) -> str:
    parse_duration(value)
    return value


def _int_or_quantity(pattern: str, least: str, most: str, message: str) -> dict[str, Any]:
    in_range = (
        f"quantity({{}}).compareTo(quantity('{least}')) >= 0 && quantity({{}}).compareTo(quantity('{most}')) <= 0"
    )
    number, text = in_range.replace("{}", "string(self)"), in_range.replace("{}", "self")
    return {
        "x-kubernetes-int-or-string": True,
        **rules(rule(f"type(self) == int ? {number} : (self.matches('{pattern}') && {text})", message)),
    }


def duration_rule(least: str, most: str) -> dict[str, Any]:
    """``json_schema_extra`` of a ``Duration``: its syntax and its bounds, both allowed themselves."""
    return rules(
        rule(
            f"self.matches('{DURATION_PATTERN}') && duration(self) >= duration('{least}') "
            f"&& duration(self) <= duration('{most}')",
            f"must be a duration between {least} and {most} in h, m, s and ms, such as 10s or 1m30s",
        )
    )


_Quantity = (BeforeValidator(_as_text), AfterValidator(_checked))
#: CPU cores, for example ``20m`` or ``1``.
CpuQuantity = Annotated[
    str,
    *_Quantity,
    Field(
        max_length=16,
        json_schema_extra=_int_or_quantity(
            _CPU_PATTERN, "0", "64", 'must be CPU cores between 0 and 64, such as 20m, "0.5" or 1'
        ),
    ),
]
#: Bytes of memory, for example ``64Mi``.
MemoryQuantity = Annotated[
    str,
    *_Quantity,
    Field(
        max_length=16,
        json_schema_extra=_int_or_quantity(
            _MEMORY_PATTERN, "1Mi", "64Gi", "must be memory between 1Mi and 64Gi, such as 16Mi, 500M or 1Gi"
        ),
    ),
]
#: A length of time, for example ``10s`` or ``1m30s``. Each field sets its bounds with ``duration_rule``.
Duration = Annotated[str, AfterValidator(_checked_duration), Field(max_length=24)]

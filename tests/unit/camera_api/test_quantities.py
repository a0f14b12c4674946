import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from camera_api.quantities import (
    CpuQuantity,
    Duration,
    MemoryQuantity,
    format_cpu,
    format_memory,
    parse_cpu,
    parse_duration,
    parse_memory,
)

FACTORS = {"": 1, "k": 10**3, "Ki": 2**10, "M": 10**6, "Mi": 2**20, "G": 10**9, "Gi": 2**30}


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("250m", 250), ("1", 1000), ("0.5", 500), ("0", 0), ("1.5", 1500), ("0.0001", 1), ("1.0005", 1001), ("2.5m", 3)],
)
def test_cpu_is_read_as_millicores_rounded_up(text: str, millicores: int) -> None:
    assert parse_cpu(text) == millicores


@pytest.mark.parametrize(
    ("text", "size"),
    [("64Mi", 67_108_864), ("1Gi", 2**30), ("1G", 10**9), ("1.5Ki", 1536), ("0.1", 1), ("1500m", 2), ("128", 128)],
)
def test_memory_is_read_as_bytes_rounded_up(text: str, size: int) -> None:
    assert parse_memory(text) == size


@given(st.integers(0, 10**9))
def test_cpu_survives_writing_and_reading(millicores: int) -> None:
    assert parse_cpu(format_cpu(millicores)) == millicores


@given(st.integers(0, 2**50))
@example(0)
@example(2**30)
def test_memory_survives_writing_and_reading(size: int) -> None:
    assert parse_memory(format_memory(size)) == size


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(sorted(FACTORS)))
def test_a_rounded_quantity_is_the_next_whole_number(whole: int, thousandths: int, suffix: str) -> None:
    exact = (whole + Fraction(thousandths, 1000)) * FACTORS[suffix]
    text = f"{whole}.{thousandths:03}{suffix}"
    assert parse_memory(text) == math.ceil(exact)
    assert parse_cpu(text) == math.ceil(exact * 1000)


@pytest.mark.parametrize(
    ("size", "text"), [(2**30, "1Gi"), (1536, "1536"), (3 * 2**20, "3Mi"), (2**30 + 2**20, "1025Mi"), (0, "0")]
)
def test_memory_is_written_in_the_largest_unit_that_is_exact(size: int, text: str) -> None:
    assert format_memory(size) == text


@pytest.mark.parametrize("text", ["", "-1", "1 Gi", "1gi", "Mi", "1e3", "\u0661", "1.", "64Mi\n", "NaN"])
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity such as 250m, 1, 64Mi or 1Gi"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("2h5m1s250ms", 7501.25), ("0s", 0)]
)
def test_durations_are_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.lists(st.tuples(st.integers(0, 99_999), st.sampled_from(["h", "m", "s", "ms"])), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    unit = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    text = "".join(f"{number}{name}" for number, name in parts)
    assert parse_duration(text) == pytest.approx(sum(number * unit[name] for number, name in parts))


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1.5s", "1 s", "10s\n", "1d", "1s1s1s1s1s", "100000s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration such as 10s, 1m30s or 500ms"):
        parse_duration(text)


@pytest.mark.parametrize(("stored", "read"), [(1, "1"), (67_108_864, "67108864"), ("20m", "20m"), (0.5, "0.5")])
def test_models_read_whole_numbers_as_the_api_server_stores_them(stored: object, read: str) -> None:
    assert TypeAdapter(CpuQuantity).validate_python(stored) == read


@pytest.mark.parametrize("kind", [CpuQuantity, MemoryQuantity, Duration])
@pytest.mark.parametrize("value", ["soon", True, None, -1])
def test_models_refuse_what_cannot_be_read_later(kind: Any, value: object) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    with pytest.raises(ValidationError):
        adapter.validate_python(value)

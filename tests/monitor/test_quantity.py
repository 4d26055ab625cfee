from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.quantity import (
    Unit,
    format_bytes,
    format_duration,
    format_value,
    parse_duration,
    parse_share,
    parse_threshold,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0s", 0),
        ("200ms", 0.2),
        ("1.5s", 1.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
    ],
)
def test_durations(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "cure"),
    [
        (30, "; did you mean '30s'?"),
        ("30", "; did you mean '30s'?"),
        ("5 minutes", "; did you mean '5m'?"),
        ("1 Hour", "; did you mean '1h'?"),
        ("200 milliseconds", "; did you mean '200ms'?"),
        ("2 months", ""),
        ("-5s", ""),
        ("five minutes", ""),
        (None, ""),
        (True, ""),
    ],
)
def test_what_is_no_duration_is_refused_with_a_cure(written: object, cure: str) -> None:
    with pytest.raises(ValueError, match="expected a duration") as caught:
        parse_duration(written)
    assert str(caught.value) == f"expected a duration such as 30s, 5m or 30d, got {written!r}{cure}"


@pytest.mark.parametrize(
    ("written", "share"), [("99.9%", 0.999), ("5 %", 0.05), (0.999, 0.999), (0, 0.0), (1, 1.0), ("100%", 1.0)]
)
def test_shares(written: object, share: float) -> None:
    assert parse_share(written) == share


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (99.9, "expected a share from 0% to 100%, got 99.9; did you mean '99.9%'?"),
        ("101%", "expected a share from 0% to 100%, got '101%'"),
        ("most", "expected a share such as 99.9% or 0.999, got 'most'"),
        (True, "expected a share such as 99.9% or 0.999, got True"),
    ],
)
def test_what_is_no_share_is_refused(written: object, message: str) -> None:
    with pytest.raises(ValueError, match="expected a share") as caught:
        parse_share(written)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("written", "value", "unit", "read"),
    [
        ("above 3s", 3.0, "seconds", "above 3 s"),
        ("above 200ms", 0.2, "seconds", "above 200 ms"),
        ("above 26h", 93_600.0, "seconds", "above 1 d 2 h"),
        ("above 5%", 0.05, "ratio", "above 5 %"),
        ("below 99.9%", 0.999, "ratio", "below 99.9 %"),
        ("above 100/min", 100.0, "per_minute", "above 100/min"),
        ("at least 14.4", 14.4, "number", "at least 14.4"),
        ("at most -3", -3.0, "number", "at most -3"),
    ],
)
def test_thresholds(written: str, value: float, unit: Unit, read: str) -> None:
    threshold = parse_threshold(written)
    assert (threshold.value, threshold.unit, threshold.text, str(threshold)) == (value, unit, written, read)


@pytest.mark.parametrize(
    ("written", "cure"),
    [
        ("> 3s", "; did you mean 'above 3s'?"),
        (">= 14.4", "; did you mean 'at least 14.4'?"),
        ("above 3 seconds", "; did you mean 'above 3s'?"),
        ("above", ""),
        ("over 3s", ""),
        (3, ""),
    ],
)
def test_what_is_no_threshold_is_refused_with_a_cure(written: object, cure: str) -> None:
    with pytest.raises(ValueError, match="expected above, below, at least or at most") as caught:
        parse_threshold(written)
    assert str(caught.value).endswith(f", got {written!r}{cure}")


@pytest.mark.parametrize(
    ("written", "broken", "good"),
    [
        ("above 3s", 3.001, 3.0),
        ("below 99.9%", 0.9989, 0.999),
        ("at least 3", 3.0, 2.0),
        ("at most 3", 3.0, 4.0),
    ],
)
def test_a_threshold_is_broken_beyond_its_limit(written: str, broken: float, good: float) -> None:
    threshold = parse_threshold(written)
    assert threshold.broken_by(broken)
    assert not threshold.broken_by(good)
    assert not threshold.broken_by(math.nan)


@pytest.mark.parametrize(
    ("warn", "breach", "milder"),
    [
        ("above 2s", "above 3s", True),
        ("above 4s", "above 3s", False),
        ("above 3s", "above 3s", False),
        ("below 99.95%", "below 99.9%", True),
        ("below 99%", "below 99.9%", False),
        ("below 2s", "above 3s", False),
        ("above 2", "above 3s", False),
    ],
)
def test_a_warning_comes_before_its_breach(warn: str, breach: str, milder: bool) -> None:
    assert parse_threshold(warn).milder_than(parse_threshold(breach)) is milder


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.2141, "seconds", "3.21 s"),
        (0.18432, "seconds", "184 ms"),
        (0.00005, "seconds", "0.05 ms"),
        (0.9996, "seconds", "1 s"),
        (93_784.2, "seconds", "1 d 2 h 3 min 4 s"),
        (0.0, "seconds", "0 s"),
        (0.053, "ratio", "5.3 %"),
        (0.9995, "ratio", "99.95 %"),
        (0.99999, "ratio", "99.999 %"),
        (1.0, "ratio", "100 %"),
        (1.2, "ratio", "120 %"),
        (137.2, "per_minute", "137/min"),
        (14.4, "number", "14.4"),
        (123_456_789.4, "number", "123456789"),
        (math.nan, "ratio", "no value"),
        (math.inf, "ratio", "infinite"),
    ],
)
def test_values_for_people(value: float, unit: Unit, text: str) -> None:
    assert format_value(value, unit) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (458_293_248, "437 MiB"),
        (1_610_612_736, "1.5 GiB"),
        (1_073_741_823, "1024 MiB"),
        (5 * 1024**5, "5120 TiB"),
    ],
)
def test_bytes_in_steps_of_1024(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("threshold", "value", "text"),
    [
        ("below 99.9%", 0.9989999, "99.89999 %"),
        ("below 99.9%", 0.999, "99.9 %"),
        ("above 1s", 0.9996, "999.6 ms"),
        ("above 3s", 3.0004, "3.0004 s"),
        ("above 3s", 3.2141, "3.21 s"),
        ("above 5m", 300.2, "5 min 0.2 s"),
        ("at least 14.4", 14.3999, "14.3999"),
        ("above 100/min", 100.4, "100.4/min"),
    ],
)
def test_a_shown_value_tells_on_which_side_it_lies(threshold: str, value: float, text: str) -> None:
    assert parse_threshold(threshold).shown(value) == text


numbers = st.floats(min_value=0, max_value=1e9, allow_nan=False)


@given(limit=numbers, value=numbers)
def test_a_breach_never_reads_like_its_limit(limit: float, value: float) -> None:
    shown = format_value(value, "number", apart_from=limit)
    assert (float(shown) > limit, float(shown) < limit) == (value > limit, value < limit)


@given(st.integers(min_value=0, max_value=10_000_000))
def test_a_duration_is_read_back_as_it_was_written(seconds: int) -> None:
    written = format_duration(seconds).replace(" min", "m").replace(" ", "")
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "200 ms"), (30, "30 s"), (300, "5 min"), (5400, "1 h 30 min"), (2_592_000, "30 d"), (-5, "-5 s")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text

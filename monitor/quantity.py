"""Numbers with units: how people write them in a file, and how they read them at 3 a.m.

Inside the program a quantity is a float in base units: seconds, ratios from 0 to 1, events a minute.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator

Unit = Literal["seconds", "ratio", "per_minute", "number"]
Operator = Literal["above", "below", "at least", "at most"]

_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(604800),
}
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|[smhdw]))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|[smhdw])")
_ALMOST_DURATION = re.compile(
    rf"({_NUMBER}) ?"
    r"(?:(ms|milliseconds?)|(m)(?:ins?|inutes?)?|([shdw])(?:ecs?|econds?|rs?|ours?|ays?|eeks?)?)?"
)
_THRESHOLD = re.compile(r"(above|below|at least|at most) +(\S.*)")
_SYMBOL = re.compile(r"(>=|<=|>|<) *(.+)")
_SYMBOL_WORDS = {">": "above", "<": "below", ">=": "at least", "<=": "at most"}

_BROKEN: dict[Operator, Callable[[float, float], bool]] = {
    "above": operator.gt,
    "below": operator.lt,
    "at least": operator.ge,
    "at most": operator.le,
}


def parse_duration(written: object) -> float:
    """Seconds from `30s`, `5m`, `1h30m`, `200ms`, `30d` or `0s`; ValueError with a cure for anything else."""
    text = str(written).strip()
    if not isinstance(written, str) or not _DURATION.fullmatch(text):
        raise ValueError(f"expected a duration such as 30s, 5m or 30d, got {written!r}{_duration_cure(text)}")
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text)))


def _duration_cure(text: str) -> str:
    if not (almost := _ALMOST_DURATION.fullmatch(text.lower())):
        return ""
    number, milliseconds, minutes, other = almost.groups()
    unit = "ms" if milliseconds else minutes or other or "s"
    return f"; did you mean '{number}{unit}'?"


def parse_share(written: object) -> float:
    """A ratio from 0 to 1, from `99.9%` or `0.999`; ValueError with a cure for anything else."""
    text = str(written).strip()
    percent = re.fullmatch(rf"({_NUMBER}) ?%", text)
    if percent:
        share = Decimal(percent[1]) / 100
    elif re.fullmatch(_NUMBER, text):
        share = Decimal(text)
    else:
        raise ValueError(f"expected a share such as 99.9% or 0.999, got {written!r}")
    if share > 1:
        cure = "" if percent or share > 100 else f"; did you mean '{text}%'?"
        raise ValueError(f"expected a share from 0% to 100%, got {written!r}{cure}")
    return float(share)


Seconds = Annotated[float, BeforeValidator(parse_duration)]
Share = Annotated[float, BeforeValidator(parse_share)]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A documented limit, and on which side of it things are bad. `value` is in base units."""

    operator: Operator
    value: float
    unit: Unit
    text: str

    def broken_by(self, value: float) -> bool:
        """NaN breaks nothing, and is not good either: judge "no value" before asking."""
        return _BROKEN[self.operator](value, self.value)

    @property
    def high_is_bad(self) -> bool:
        return self.operator in ("above", "at least")

    def milder_than(self, other: Threshold) -> bool:
        """True where a value on its way to break `other` breaks this one first."""
        if self.unit != other.unit or self.high_is_bad != other.high_is_bad:
            return False
        return self.value < other.value if self.high_is_bad else self.value > other.value

    def on_good_side_of(self, other: Threshold) -> bool:
        """True where no value that passes this one breaks `other`, and some values do neither."""
        if self.unit != other.unit or self.high_is_bad == other.high_is_bad:
            return False
        return self.value < other.value if other.high_is_bad else self.value > other.value

    @property
    def limit(self) -> str:
        """The number alone, for people: `3 s`, `99.9 %`."""
        return _written_out(Decimal(repr(self.value)), self.unit)

    def shown(self, value: float) -> str:
        """`value` with as many digits as it takes to see on which side of this threshold it lies."""
        return format_value(value, self.unit, apart_from=self.value)

    def __str__(self) -> str:
        return f"{self.operator} {self.limit}"


def parse_threshold(written: object) -> Threshold:
    """`above 3s`, `above 5%`, `above 100/min`, `at least 14.4`; ValueError with a cure for anything else."""
    text = str(written).strip()
    match = _THRESHOLD.fullmatch(text)
    quantity = _quantity(match[2]) if match else None
    if match is None or quantity is None:
        raise ValueError(
            "expected above, below, at least or at most, then a number with its unit "
            f"(3s, 200ms, 5%, 100/min, 14.4), got {written!r}{_threshold_cure(text)}"
        )
    value, unit = quantity
    return Threshold(operator=cast("Operator", match[1]), value=value, unit=unit, text=text)


def _quantity(text: str) -> tuple[float, Unit] | None:
    if re.fullmatch(rf"-?{_NUMBER}", text):
        return float(text), "number"
    if percent := re.fullmatch(rf"({_NUMBER}) ?%", text):
        return float(Decimal(percent[1]) / 100), "ratio"
    if rate := re.fullmatch(rf"({_NUMBER}) ?/ ?min", text):
        return float(rate[1]), "per_minute"
    if _DURATION.fullmatch(text):
        return parse_duration(text), "seconds"
    return None


def _threshold_cure(text: str) -> str:
    if symbol := _SYMBOL.fullmatch(text):
        text = f"{_SYMBOL_WORDS[symbol[1]]} {symbol[2]}"
    if not (match := _THRESHOLD.fullmatch(text)):
        return ""
    if _quantity(match[2]):
        return f"; did you mean '{text}'?"
    return _duration_cure(match[2]).replace("mean '", f"mean '{match[1]} ")


@lru_cache(4096)
def format_value(value: float, unit: Unit, *, apart_from: float | None = None) -> str:
    """`3.21 s`, `184 ms`, `5.3 %`, `137/min`, `14.4`: three digits, more where they carry the meaning.

    Digits are added until the text lies on the same side of `apart_from` as the value does, and until a
    ratio close to 1 says how close: what broke "below 99.9 %" never reads "99.9 %".
    """
    if math.isnan(value):
        return "no value"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    digits = _digits(value)
    if unit == "ratio" and 0.9 < value < 1:
        digits = max(digits, 1 - math.floor(math.log10(1 - value)))
    shown = _rounded(value, digits)
    while apart_from is not None and digits < 17 and not _same_side(shown, value, apart_from):
        digits += 1
        shown = _rounded(value, digits)
    return _written_out(Decimal(repr(shown)), unit)


@lru_cache(4096)
def format_duration(seconds: float) -> str:
    """`200 ms`, `30 s`, `5 min`, `1 h 30 min`, `30 d`; whole seconds from 100 s on."""
    if not math.isfinite(seconds):
        return format_value(seconds, "seconds")
    return _spelt(Decimal(repr(_rounded(seconds, _digits(seconds)))))


def format_bytes(count: float) -> str:
    """`512 B`, `437 MiB`, `1.5 GiB`: in steps of 1024, as memory and its limits are counted."""
    power = min(len(_SIZES) - 1, max(0, int(math.log2(count) // 10))) if count >= 1 else 0
    size = count / 1024**power
    return f"{_plain(Decimal(repr(_rounded(size, _digits(size)))))} {_SIZES[power]}"


def _digits(value: float) -> int:
    return max(3, len(str(int(abs(value)))))


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _same_side(shown: float, value: float, limit: float) -> bool:
    return (shown > limit) == (value > limit) and (shown < limit) == (value < limit)


def _written_out(value: Decimal, unit: Unit) -> str:
    match unit:
        case "seconds":
            return _plain(value) + " s" if 1 <= value < 120 else _spelt(value)
        case "ratio":
            return _plain(value * 100) + " %"
        case "per_minute":
            return _plain(value) + "/min"
        case "number":
            return _plain(value)


def _spelt(seconds: Decimal) -> str:
    if seconds < 0:
        return "-" + _spelt(-seconds)
    if 0 < seconds < 1:
        return _plain(seconds * 1000) + " ms"
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    if seconds or not parts:
        parts.append(f"{_plain(seconds)} s")
    return " ".join(parts)


def _plain(number: Decimal) -> str:
    return f"{number.normalize() + 0:f}"

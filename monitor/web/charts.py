"""Small drawings as numbers for the templates: no chart is drawn where there is nothing to draw it from."""

from __future__ import annotations

from dataclasses import dataclass

from exporters.http import Phases
from monitor.quantity import Threshold, format_duration
from monitor.words import PHASES

WIDTH = 100.0


@dataclass(frozen=True, slots=True)
class Meter:
    """Where value and line lie on a scale of 0 to 100, and from where to where the broken side reaches."""

    value: float
    line: float
    bad_from: float
    bad_to: float
    broken: bool


def meter(limit: Threshold, value: float | None) -> Meter | None:
    """The line stands in the middle, but where the scale has a natural end; None without a value."""
    if value is None or value != value:
        return None
    low, high = _scale(limit)

    def place(number: float) -> float:
        share = (number - low) / (high - low) if high > low else 0.5
        return round(WIDTH * min(1.0, max(0.0, share)), 2)

    line = place(limit.value)
    bad = (line, WIDTH) if limit.high_is_bad else (0.0, line)
    return Meter(place(value), line, *bad, broken=limit.broken_by(value))


def _scale(limit: Threshold) -> tuple[float, float]:
    if limit.unit == "ratio" and limit.value > 0.5:
        return (0.0, 1.0) if limit.high_is_bad else (1 - 4 * (1 - limit.value), 1.0)
    if limit.value >= 0:
        return 0.0, 2 * limit.value or 1.0
    return 2 * limit.value, 0.0


@dataclass(frozen=True, slots=True)
class Phase:
    """`start` and `width` on a scale of 0 to 100."""

    name: str
    took: str
    start: float
    width: float


def phases(measured: Phases) -> tuple[Phase, ...]:
    """One after the other; none when nothing was measured."""
    lengths = {name: max(0.0, getattr(measured, name)) for name in PHASES}
    whole = sum(lengths.values())
    made, start = [], 0.0
    for name, length in lengths.items():
        if length:
            shown = Phase(PHASES[name], format_duration(length), _share(start, whole), _share(length, whole))
            made.append(shown)
        start += length
    return tuple(made)


def _share(part: float, whole: float) -> float:
    return round(WIDTH * part / whole, 2)

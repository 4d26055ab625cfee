"""Many probes, or many readings of an objective, as one row that can be put together with others."""

from __future__ import annotations

import json
import math
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.history.numbers import Series, checked, judged
from monitor.history.rows import IGNORED, OK, ProbeRow
from monitor.history.sketch import Sketch, bucket
from monitor.judge import Reading, Verdict

MINUTE, HOUR, DAY = 60, 3600, 86_400
SPANS = (MINUTE, HOUR, DAY)
READING_SPANS = (MINUTE, HOUR)

WORSE = (Verdict.OK, Verdict.UNKNOWN, Verdict.WARN, Verdict.BREACH)
"""The last is the worst: not to know is worse than good, and trouble that was seen is worse than that."""

_PHASES = struct.Struct("<5d")
NO_PHASES = (0.0,) * 5

RollupKey = tuple[int, int, int]
"""(span, series, at)"""


def packed_phases(phases: Iterable[float]) -> bytes:
    return _PHASES.pack(*phases)


def unpacked_phases(stored: bytes | None) -> tuple[float, ...]:
    return _PHASES.unpack(stored) if stored else NO_PHASES


@dataclass(slots=True)
class Rollup:
    """Probes of one check within one span of time. Durations and phases are those of good answers.

    `covered` has a bit for each minute of the span for which some probe speaks: the others are "no data".
    """

    good: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    covered: int = 0
    sketch: Sketch = field(default_factory=Sketch)
    phases: tuple[float, ...] = NO_PHASES

    @property
    def failures(self) -> int:
        return sum(count for reason, count in self.reasons.items() if reason not in IGNORED)

    @property
    def total(self) -> int:
        """What counts for or against uptime: neither those asked to wait nor our own stalls."""
        return self.good + self.failures

    @property
    def ignored(self) -> int:
        return sum(count for reason, count in self.reasons.items() if reason in IGNORED)

    @property
    def worst_reason(self) -> str | None:
        """The most frequent one of the failures; without any, of what was ignored."""
        return max(self.reasons, key=lambda each: (each not in IGNORED, self.reasons[each]), default=None)

    def add(self, probe: ProbeRow, at_bucket: int) -> None:
        if probe.reason == OK:
            self.good += 1
            self.sketch.add(at_bucket)
            self.phases = tuple(map(operator.add, self.phases, probe.phases))
        else:
            self.reasons[probe.reason] = self.reasons.get(probe.reason, 0) + 1

    def merge(self, row: Any) -> None:
        """A stored one of the same span."""
        self.covered |= int.from_bytes(row.covered, "little")
        self.merge_counts(row)

    def merge_counts(self, row: Any) -> None:
        """A stored one, of whatever span; what it covers is left out."""
        self.good += row.total - row.failures
        if row.reasons:
            for reason, count in json.loads(row.reasons).items():
                self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.sketch.merge(row.sketch)
        self.phases = tuple(map(operator.add, self.phases, _PHASES.unpack(row.phases)))

    def row(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "failures": self.failures,
            "reasons": json.dumps(self.reasons) if self.reasons else "",
            "covered": self.covered.to_bytes((self.covered.bit_length() + 7) // 8, "little"),
            "sketch": self.sketch.to_bytes(),
            "phases": packed_phases(self.phases),
        }

    @classmethod
    def stored(cls, row: Any) -> Rollup:
        rollup = cls()
        rollup.merge(row)
        return rollup


def rolled(
    probes: Iterable[ProbeRow], numbers: Mapping[Series, int], spans: Iterable[int] = SPANS
) -> dict[RollupKey, Rollup]:
    """The order of the probes does not matter."""
    found: dict[RollupKey, Rollup] = {}
    spans = tuple(spans)
    for probe in probes:
        series, index = numbers[checked(probe)], bucket(probe.duration)
        for span in spans:
            start = int(probe.at // span) * span
            _rollup(found, (span, series, start)).add(probe, index)
            for at, minutes in _spoken_for(probe, start, span):
                _rollup(found, (span, series, at)).covered |= minutes
    return found


def _rollup(found: dict[RollupKey, Rollup], key: RollupKey) -> Rollup:
    if (rollup := found.get(key)) is None:
        rollup = found[key] = Rollup()
    return rollup


def _spoken_for(probe: ProbeRow, start: int, span: int) -> Iterator[tuple[int, int]]:
    """The minutes from the probe to the one before the next is due, by the span that they are in."""
    if probe.reason in IGNORED:
        return
    first, end = int(probe.at), probe.at + min(probe.interval, DAY)
    while first < end:
        until = min(math.ceil(end), start + span) - 1
        yield start, (1 << (until - start) // MINUTE + 1) - (1 << (first - start) // MINUTE)
        first = start = start + span


@dataclass(slots=True)
class Extent:
    """What an objective read within one span of time; `low`, `high` and `last` are None without a value."""

    low: float | None
    high: float | None
    last: float | None
    last_at: float
    worst: int

    def merge(self, other: Extent) -> None:
        self.low, self.high = _of(min, self.low, other.low), _of(max, self.high, other.high)
        self.worst = max(self.worst, other.worst)
        if other.last_at >= self.last_at:
            self.last, self.last_at = other.last, other.last_at

    def row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def stored(cls, row: Any) -> Extent:
        return cls(row.low, row.high, row.last, row.last_at, row.worst)


def extents(readings: Iterable[Reading], numbers: Mapping[Series, int]) -> dict[RollupKey, Extent]:
    found: dict[RollupKey, Extent] = {}
    for reading in readings:
        series = numbers[judged(reading)]
        value, worst = reading.value, WORSE.index(reading.verdict)
        for span in READING_SPANS:
            read = Extent(value, value, value, reading.at, worst)
            key = (span, series, int(reading.at // span) * span)
            if key in found:
                found[key].merge(read)
            else:
                found[key] = read
    return found


def _of(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return choose(one, other)

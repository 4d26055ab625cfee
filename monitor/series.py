"""What the agent remembers of its targets: bounded windows of samples, in memory.

Only the series that an objective reads are kept, each for as long as the longest window that reads it.
"""

from __future__ import annotations

import math
import operator
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate

from exporters.sample import Labels, Sample
from monitor.promql import Points
from monitor.selector import Selector

MAX_SAMPLES = 600_000
"""Per series: 30 days at one sample in five seconds."""
MAX_SERIES = 20_000
"""Per target. A target that makes up label values must not take the agent's memory with it."""


EXACT_BELOW = 2.0**53
"""Whole numbers up to here, and their sums, lose nothing as floats."""


class Series:
    """One series' samples, oldest first.

    A month of probes is asked for its failures at each probe. Running sums answer that at once, and exactly
    while all values are whole numbers; other series are summed up anew each time.
    """

    __slots__ = ("_first", "_sums", "_times", "_values", "_whole", "labels", "retention")

    def __init__(self, labels: Labels, retention: float) -> None:
        self.labels = dict(labels)
        self.retention = retention
        self._times = array("d")
        self._values = array("d")
        self._sums = array("d")  # of all values up to each; as far as it was asked for
        self._whole = True
        self._first = 0

    def add(self, at: float, value: float) -> None:
        """Times must rise: a sample that comes twice or late (a clock set back) is dropped."""
        if self._times and at <= self._times[-1]:
            return
        self._times.append(at)
        self._values.append(value)
        self._forget(at - self.retention)

    def extend(self, times: Sequence[float], values: Sequence[float]) -> None:
        """A month of samples. Where time goes back, as after a clock was set, what came later wins."""
        if self._times or not all(map(operator.lt, times, times[1:])):
            for at, value in zip(times, values, strict=True):
                self.forget_after(at)
                self.add(at, value)
        elif times:
            self._times.extend(times)
            self._values.extend(values)
            self._forget(times[-1] - self.retention)

    def _forget(self, horizon: float) -> None:
        keep_from = max(self._first, len(self._times) - MAX_SAMPLES)
        self._first = bisect_left(self._times, horizon, lo=keep_from)
        # Cutting an array's head moves all of it: do it when half of it is past.
        if self._first > 64 and self._first > len(self._times) // 2:
            del self._times[: self._first]
            del self._values[: self._first]
            del self._sums[: self._first]
            self._first = 0

    def forget_after(self, at: float) -> None:
        keep = bisect_right(self._times, at, lo=self._first)
        del self._times[keep:]
        del self._values[keep:]
        del self._sums[keep:]

    def between(self, start: float, end: float) -> Points:
        """The samples with start <= time <= end."""
        low, high = self._range(start, end)
        return self._times[low:high], self._values[low:high]

    def total(self, start: float, end: float) -> tuple[int, float]:
        """How many samples lie within start <= time <= end, and the sum of their values."""
        low, high = self._range(start, end)
        if low == high:
            return 0, 0.0
        self._sum_up()
        if not self._whole:
            return high - low, sum(self._values[low:high])
        return high - low, self._sums[high - 1] - self._sums[low] + self._values[low]

    def _range(self, start: float, end: float) -> tuple[int, int]:
        low = bisect_left(self._times, start, lo=self._first)
        return low, bisect_right(self._times, end, lo=low)

    def _sum_up(self) -> None:
        if not self._whole or len(self._sums) == len(self._values):
            return
        new = self._values[len(self._sums) :]
        sums = list(accumulate(new, initial=self._sums[-1] if self._sums else 0.0))[1:]
        if all(map(float.is_integer, new)) and max(map(abs, sums)) < EXACT_BELOW:
            self._sums.extend(sums)
        else:
            self._whole, self._sums = False, array("d")

    @property
    def last_at(self) -> float:
        return self._times[-1]

    def __len__(self) -> int:
        return len(self._times) - self._first


class TargetSeries:
    """The series of one target, by name and labels.

    An objective asks for the same ones at each cycle: what a selector found holds until series come or go.
    """

    def __init__(self, retention: Mapping[str, float]) -> None:
        self._retention = retention
        self._by_name: dict[str, dict[Labels, Series]] = {name: {} for name in retention}
        self._found: dict[Selector, list[Series]] = {}
        self.refused = 0

    def remember(self, at: float, samples: Iterable[Sample]) -> None:
        for sample in samples:
            if (series := self._series(sample.name, sample.labels)) is not None:
                series.add(at, sample.value)

    def restore(self, name: str, labels: Labels, times: Sequence[float], values: Sequence[float]) -> None:
        """One series' past, before what has been remembered of it here."""
        if (series := self._series(name, labels)) is not None:
            newer = series.between(-math.inf, math.inf)
            series.forget_after(-math.inf)
            series.extend(times, values)
            series.extend(*newer)

    def _series(self, name: str, labels: Labels) -> Series | None:
        if (kept := self._by_name.get(name)) is None:
            return None
        series = kept.get(labels)
        if series is None:
            if len(self) >= MAX_SERIES:
                self.refused += 1
                return None
            series = kept[labels] = Series(labels, self._retention[name])
            self._found.clear()
        return series

    def configure(self, retention: Mapping[str, float]) -> None:
        """What is not to be remembered any more is gone; what is to be from now on begins empty."""
        self._retention = retention
        self._by_name = {name: self._by_name.get(name, {}) for name in retention}
        self._found.clear()
        for name, kept in self._by_name.items():
            for series in kept.values():
                series.retention = retention[name]

    def forget_check(self, check: str) -> None:
        for kept in self._by_name.values():
            for labels in [labels for labels in kept if ("check", check) in labels]:
                del kept[labels]
        self._found.clear()

    def select(self, selector: Selector) -> Sequence[Series]:
        found = self._found.get(selector)
        if found is None:
            of_its_name = self._by_name.get(selector.name, {}).values()
            found = self._found[selector] = [each for each in of_its_name if selector.accepts(each.labels)]
        return found

    def forget_after(self, at: float) -> None:
        for kept in self._by_name.values():
            for key, series in list(kept.items()):
                series.forget_after(at)
                if not len(series):
                    del kept[key]
        self._found.clear()

    def forget_dead(self, now: float) -> None:
        """Drops series that got nothing for longer than anyone looks back: workers and routes of the past."""
        for name, kept in self._by_name.items():
            horizon = now - self._retention[name]
            for key in [labels for labels, series in kept.items() if series.last_at < horizon]:
                del kept[key]
        self._found.clear()

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))


class Memory:
    """All targets' series, and when each of their checks last brought data."""

    def __init__(self, retention: Mapping[str, float]) -> None:
        self._retention = retention
        self._targets: dict[str, TargetSeries] = {}
        self._last_good: dict[tuple[str, str], float] = {}

    def of(self, target: str) -> TargetSeries:
        if target not in self._targets:
            self._targets[target] = TargetSeries(self._retention)
        return self._targets[target]

    def remember(self, target: str, check: str, at: float, samples: Iterable[Sample]) -> None:
        """Keeps what one check brought at `at` (seconds since the epoch). No samples: no sign of life."""
        samples = list(samples)
        if not samples:
            return
        self.of(target).remember(at, samples)
        self._last_good[target, check] = max(at, self._last_good.get((target, check), at))

    def forget_after(self, target: str, at: float) -> None:
        """The clock was set back to then: what is dated later would hide what comes now."""
        self.of(target).forget_after(at)
        for place, last in self._last_good.items():
            if place[0] == target:
                self._last_good[place] = min(last, at)

    def configure(self, retention: Mapping[str, float]) -> None:
        """Seconds for which each metric is remembered from now on."""
        self._retention = retention
        for series in self._targets.values():
            series.configure(retention)

    def forget(self, targets: Collection[str]) -> None:
        for target in targets:
            self._targets.pop(target, None)
        self._last_good = {place: at for place, at in self._last_good.items() if place[0] in self._targets}

    def forget_check(self, target: str, check: str) -> None:
        self.of(target).forget_check(check)
        self._last_good.pop((target, check), None)

    def last_good(self, target: str, check: str) -> float | None:
        return self._last_good.get((target, check))

    @property
    def longest(self) -> float:
        """Seconds for which anything is remembered at all."""
        return max(self._retention.values(), default=0.0)

    @property
    def wanted(self) -> Callable[[str], bool]:
        return self._retention.__contains__

    def forget_dead(self, now: float) -> None:
        for series in self._targets.values():
            series.forget_dead(now)

    def __len__(self) -> int:
        return sum(map(len, self._targets.values()))

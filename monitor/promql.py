"""The PromQL functions that the SLIs need, computed from samples in memory.

They follow Prometheus 2.x (promql/functions.go, promql/quantile.go): a range is closed at both ends, stale
markers are not samples, and counters are corrected for resets and extrapolated to the edges of the range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

Points = tuple[Sequence[float], Sequence[float]]
"""Times (seconds, rising) and values of one series inside a range."""


def rate(points: Points, start: float, end: float) -> float | None:
    """Increase of a counter per second (`extrapolatedRate`); None with fewer than two samples."""
    times, values = points
    if len(times) < 2:
        return None
    increase = values[-1] - values[0] + _lost_in_resets(values)
    sampled = times[-1] - times[0]
    between = sampled / (len(times) - 1)
    to_start, to_end = times[0] - start, end - times[-1]
    if increase > 0 and values[0] >= 0:
        # A counter can't have been below zero: it was born no earlier than its slope reaches back to 0.
        to_start = min(to_start, sampled * (values[0] / increase))
    covered = sampled
    for gap in (to_start, to_end):
        covered += gap if gap < between * 1.1 else between / 2
    return increase * (covered / sampled / (end - start))


def _lost_in_resets(values: Sequence[float]) -> float:
    return sum(before for before, after in pairwise(values) if after < before)


def histogram_quantile(q: float, buckets: dict[float, float]) -> float:
    """The q-quantile of a histogram given as {upper bound: cumulative count}; NaN when it holds nothing.

    Interpolates linearly inside the bucket that holds the rank (`bucketQuantile`): the answer is exact about
    which side of a bucket edge the quantile lies on, and approximate between edges.
    """
    bounds = sorted(buckets)
    if len(bounds) < 2 or bounds[-1] != math.inf or math.isnan(q):
        return math.nan
    counts = _monotonic([buckets[bound] for bound in bounds])
    total = counts[-1]
    if not total > 0:
        return math.nan
    rank = q * total
    index = next((i for i, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if index == len(counts) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    lower, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    if counts[index] == below:
        return math.nan
    return lower + (bounds[index] - lower) * ((rank - below) / (counts[index] - below))


def _monotonic(counts: list[float]) -> list[float]:
    """Scrapes of several series are not atomic: a bucket may lag behind the one below it."""
    highest = -math.inf
    for index, count in enumerate(counts):
        highest = max(highest, count)
        counts[index] = highest
    return counts


def quantile_over_time(q: float, values: Sequence[float]) -> float:
    """The q-quantile of the values, interpolated between ranks; NaN counts as the smallest of all."""
    ordered = sorted(values, key=lambda value: (not math.isnan(value), value))
    rank = q * (len(ordered) - 1)
    lower = max(0, math.floor(rank))
    upper = min(len(ordered) - 1, lower + 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


def max_over_time(values: Sequence[float]) -> float:
    """NaN only when every value is."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)

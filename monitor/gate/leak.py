"""Does memory grow without end? A slope that steps, saw teeth and slow waves don't fool.

What a process holds at one moment is what it held a moment before, and nearly so: tests for a trend that take
samples for independent cry wolf in a third of all healthy runs. So the start is dropped (caches fill, code is
loaded), the rest is cut into BLOCKS blocks whose medians are looked at, and what these still have to do with
each other widens the bounds. The slope is the median over all pairs (Theil and Sen: Sen, Estimates of the
regression coefficient based on Kendall's tau, JASA 63, 1968), its bounds and the chance of such a trend are
those of Kendall's tau with the variance of dependent values (Hamed and Rao, J. Hydrology 204, 1998, here with
the first coefficient alone). One step up, however high, is no trend by these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from monitor.gate.sequential import Verdict

RISK = 0.05
BLOCKS = 12
LEAST = 3 * BLOCKS
"""Samples after the warm-up."""
WARM_UP = 0.2
"""The share of the time that is dropped."""
MOST_ALIKE = 0.9

Values = NDArray[np.float64]


class Trend(NamedTuple):
    """`slope` is between `low` and `high`, each with a confidence of 1 - RISK; in units a second.

    `tau` is Kendall's, `chance` that of so much of it where nothing grows.
    """

    slope: Values
    low: Values
    high: Values
    tau: Values
    chance: Values


def leak(samples: Sequence[tuple[float, float]], limit: float) -> tuple[Verdict, Trend] | None:
    """From (seconds, bytes): FAIL when it grows by more than `limit` bytes a second, PASS when by less.

    None for too few samples.
    """
    blocks = blocked(samples)
    if blocks is None:
        return None
    found = trend(*blocks)
    if found.low > limit and found.chance <= RISK:
        return Verdict.FAIL, found
    return (Verdict.PASS if found.high < limit else Verdict.INCONCLUSIVE), found


def blocked(samples: Sequence[tuple[float, float]]) -> tuple[Values, Values] | None:
    """Medians of times and of values, after the warm-up; blocks have as many samples each."""
    if not samples:
        return None
    began, ended = samples[0][0], samples[-1][0]
    settled = np.array([each for each in samples if each[0] >= began + WARM_UP * (ended - began)])
    if len(settled) < LEAST:
        return None
    medians = np.array([np.median(block, axis=0) for block in np.array_split(settled, BLOCKS)])
    return medians[:, 0], medians[:, 1]


def trend(times: Values, values: Values) -> Trend:
    """Of values that stand in a row, along the last axis; the times are the same for all."""
    earlier, later = np.triu_indices(len(times), 1)
    rises = np.diff(values[..., [earlier, later]], axis=-2)[..., 0, :]
    slopes = np.sort(rises / (times[later] - times[earlier]), axis=-1)
    slope = np.median(slopes, axis=-1)
    spread = _spread(len(times)) * np.sqrt(_alike(times, values, slope))
    agreeing = np.sign(rises).sum(axis=-1)
    reach = -ndtri(RISK) * spread
    return Trend(
        slope,
        _at(slopes, np.floor((len(earlier) - reach) / 2) - 1),
        _at(slopes, np.ceil((len(earlier) + reach) / 2)),
        agreeing / len(earlier),
        ndtr(-(agreeing - 1) / spread),
    )


def _spread(n: int) -> float:
    """Standard deviation of the number of pairs that rise, less those that fall, where nothing grows."""
    return float(np.sqrt(n * (n - 1) * (2 * n + 5) / 18))


def _alike(times: Values, values: Values, slope: Values) -> Values:
    """By how much dependence of neighbours raises the variance; at least 1.

    Their correlation comes out too small when it is taken from few values without their trend: about
    (2 + 4 r) / n, which is given back.
    """
    left = values - slope[..., None] * times
    left = left - left.mean(axis=-1, keepdims=True)
    size = np.maximum((left * left).sum(axis=-1), np.finfo(float).tiny)
    seen = (left[..., 1:] * left[..., :-1]).sum(axis=-1) / size
    n = len(times)
    correlation = np.clip((n * seen + 2) / (n - 4), 0, MOST_ALIKE)
    return np.asarray((1 + correlation) / (1 - correlation))


def _at(slopes: Values, place: Values) -> Values:
    """By rank; without end where there are not so many."""
    inside = np.clip(place, 0, slopes.shape[-1] - 1).astype(int)
    found = np.take_along_axis(slopes, inside[..., None], axis=-1)[..., 0]
    found = np.where(place < 0, -np.inf, found)
    return np.where(place >= slopes.shape[-1], np.inf, found)

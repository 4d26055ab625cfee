"""A distribution of durations in little room, whose quantiles are right to 1 % however many are put together.

DDSketch (Masson, Rim, Lee: "DDSketch: A fast and fully-mergeable quantile sketch with relative-error
guarantees", VLDB 2019): values are counted in buckets whose edges grow by a constant factor. Two sketches are
merged by adding counts, so the sketch of a month is exactly the one that a month of values would have made.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

RELATIVE_ERROR = 0.01
SMALLEST, LARGEST = 1e-9, 1e6
"""Seconds. What is smaller counts as 0, what is larger as the largest; so there are at most 1,728 buckets."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_OFFSET = 1 - math.ceil(math.log(SMALLEST) / _LOG_GAMMA)
_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}


def bucket(value: float) -> int:
    """0 for what is too small to matter (and for NaN); the others are numbered from 1."""
    if not value >= SMALLEST:
        return 0
    return math.ceil(math.log(min(value, LARGEST)) / _LOG_GAMMA) + _OFFSET


def middle(index: int) -> float:
    """The value that is no further than RELATIVE_ERROR from any in the bucket."""
    return 2 * _GAMMA ** (index - _OFFSET) / (_GAMMA + 1) if index else 0.0


class Sketch:
    __slots__ = ("buckets",)

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.buckets: dict[int, int] = {}
        for value in values:
            self.add(bucket(value))

    def add(self, index: int) -> None:
        """One value, by its bucket."""
        self.buckets[index] = self.buckets.get(index, 0) + 1

    def quantile(self, q: float) -> float | None:
        """The smallest value that a share of at least `q` does not exceed; None without any value."""
        if not self.buckets:
            return None
        indices = sorted(self.buckets)
        up_to = list(accumulate(map(self.buckets.__getitem__, indices)))
        return middle(indices[bisect_left(up_to, q * up_to[-1] - 1e-9)])

    def to_bytes(self) -> bytes:
        """The width of a count, then all indices in order, then all counts."""
        if not self.buckets:
            return b""
        indices = sorted(self.buckets)
        counts = [self.buckets[index] for index in indices]
        width = next(code for code, size in _SIZES.items() if max(counts) < 256**size)
        many = len(indices)
        return width.encode() + struct.pack(f"<{many}H{many}{width}", *indices, *counts)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Sketch:
        sketch = cls()
        sketch.merge(stored)
        return sketch

    def merge(self, stored: bytes) -> None:
        """Another one, as it is stored."""
        if not stored:
            return
        width = chr(stored[0])
        many = (len(stored) - 1) // (2 + _SIZES[width])
        numbers = struct.unpack_from(f"<{many}H{many}{width}", stored, 1)
        counts = zip(numbers[:many], numbers[many:], strict=True)
        if not self.buckets:
            self.buckets = dict(counts)
            return
        mine = self.buckets
        for index, count in counts:
            mine[index] = mine.get(index, 0) + count

    def __len__(self) -> int:
        return sum(self.buckets.values())

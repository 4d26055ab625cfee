"""What every number is before anything is computed from it."""

from __future__ import annotations

from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]
"""Label pairs sorted by name, so that equal label sets are equal keys."""


class Sample(NamedTuple):
    """One value of one series, in base units (seconds, bytes, ratios from 0 to 1)."""

    name: str
    labels: Labels
    value: float


def labels(**pairs: str) -> Labels:
    return tuple(sorted(pairs.items()))

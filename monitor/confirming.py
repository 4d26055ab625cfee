"""Is it real? A check that failed is asked again soon: a page comes within seconds, and not for a blip.

Results of one check count only as far as they lie apart: a probe begins at least SPACING after the end of the
last one that counted. Three failures in a row then span three seconds, whatever the interval is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.objectives import Objective, Objectives

SPACING = 1.5
"""Seconds between two results that count, as long as windows are as documented."""
LEEWAY = 0.01
"""Seconds by which a repeat begins later than it must: the timer's clock and the one that counts differ."""
COUNTED = "probe_consecutive_failures"
INTERRUPTIONS = "probe_recent_interruptions"
RECENT = 20
"""Regular probes of a check, among which interruptions are counted."""


class Needed(NamedTuple):
    """How many results in a row decide: that a check has failed, and that it works again."""

    failures: int = 0
    successes: int = 0


@dataclass(frozen=True, slots=True)
class Streak:
    """Results of a check that were all alike, and lay apart. `ended` is when the last that counted did."""

    success: bool
    length: int
    ended: float

    @property
    def failures(self) -> int:
        return 0 if self.success else self.length


@dataclass(slots=True)
class Steadiness:
    """How often a check began to fail, among its last regular probes: an outage is one interruption, however
    long, and an instance of several that fails is many."""

    began_to_fail: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def interruptions(self) -> int:
        return sum(self.began_to_fail)


def follow(streak: Streak | None, success: bool, began: float, ended: float, spacing: float) -> Streak:
    """The streak with one more result. A clock that was set back tells nothing about distance: it counts."""
    if streak is None or streak.success is not success:
        return Streak(success, 1, ended)
    if 0 <= began - streak.ended < spacing:
        return streak
    return Streak(success, streak.length + 1, ended)


def undecided(streak: Streak, needed: Needed, *, firing: bool) -> bool:
    """Whether the next result is wanted soon: it fails and nobody knows, or it works and still fires."""
    if streak.success is not firing:
        return False
    return streak.length < (needed.successes if firing else needed.failures)


def counting(objectives: Objectives, target: str, check: str) -> list[Objective]:
    """The objectives that are held against the number of failures in a row."""
    place = {"target": target, "check": check}
    return [
        each
        for each in objectives
        if each.check == check and any(s.name == COUNTED and s.accepts(place) for s in each.sli.reads)
    ]


def needed(counting: list[Objective]) -> Needed:
    """What it takes to decide about all of them."""
    return Needed(
        failures=max((_least(each) for each in counting), default=0),
        successes=max((each.good_results for each in counting), default=0),
    )


def _least(objective: Objective) -> int:
    """The smallest number of failures that breaks it."""
    limit = objective.breach.value
    return int(limit) if objective.breach.broken_by(int(limit)) else int(limit) + 1

"""Clocks on walls: when they show a time, and how a moment reads on them.

A zone of None is the one that this machine is set to.
"""

from __future__ import annotations

import math
from datetime import datetime, tzinfo

from monitor.quantity import format_duration


def local(at: float, zone: tzinfo | None) -> datetime:
    """What the clock there shows at `at` (seconds since the epoch), without its zone."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None)


def instant(wanted: datetime, zone: tzinfo | None) -> float:
    """The first moment, in seconds since the epoch, at which the clock there shows `wanted` or later.

    So a time that a change of clocks leaves out is the moment of the change, and one that comes twice is the
    first of the two. `wanted` has no zone of its own and whole seconds.
    """
    first = wanted.replace(tzinfo=zone, fold=0).timestamp()
    if local(first, zone) == wanted:
        return first
    before, after = wanted.replace(tzinfo=zone, fold=1).timestamp(), first
    while after - before > 1:
        middle = (before + after) // 2
        if local(middle, zone) < wanted:
            before = middle
        else:
            after = middle
    return after


def clock_time(at: float, zone: tzinfo | None) -> str:
    """`Sat 2026-11-28 06:00 CET`"""
    return datetime.fromtimestamp(at, zone).astimezone(zone).strftime("%a %Y-%m-%d %H:%M %Z")


def in_minutes(seconds: float) -> str:
    """`1 h 52 min`, `20 s`: rounded up, to whole minutes above one of them, to hours above two days."""
    step = next(size for size, least in ((3600, 2 * 86400), (60, 60), (1, -math.inf)) if seconds > least)
    return format_duration(math.ceil(seconds / step) * step)

"""What on-call should hear of a target's outages, from docs/adr/0017 and 0019 alone: nothing of the agent is
called.

Times are seconds since the story began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

LEAST = 3.0
"""A shorter outage pages nobody."""
HOUR, CALM, FLAPS = 3600.0, 900.0, 3
"""The third firing within an hour is said as flapping, until nothing has changed for a quarter of an hour."""
RETRIES = 7 * 60.0
"""Seconds after a receiver's outage until the next try, and until what waits behind it has gone out."""


class Outage(NamedTuple):
    start: float
    end: float

    @property
    def lasts(self) -> float:
        return self.end - self.start


class Expected(NamedTuple):
    """A message, not before `start` and not after `end`."""

    kind: str
    start: float
    end: float

    def fits(self, kind: str, at: float) -> bool:
        return kind == self.kind and self.start <= at <= self.end

    def __str__(self) -> str:
        return f"{self.kind} within {self.start:.0f} to {self.end:.0f} s"


class Unit(NamedTuple):
    """Messages that come together; `sure` or perhaps."""

    messages: tuple[Expected, ...]
    sure: bool = True


class Oracle:
    """`sure`: seconds within which an outage is certain to be noticed, and its end as well.

    `away`: when the agent did not look; `deaf`: when the receiver could not be reached.
    """

    def __init__(
        self,
        sure: float,
        interval: float,
        away: Sequence[tuple[float, float]] = (),
        deaf: Sequence[tuple[float, float]] = (),
    ) -> None:
        self._sure, self._interval = sure, interval
        self._away, self._deaf = away, deaf

    def expects(self, outages: Iterable[Outage]) -> Iterator[Unit]:
        """In order of their beginnings; none of them touch."""
        firings: list[float] = []
        flapping_until: float | None = None
        for outage in outages:
            if outage.lasts < LEAST:
                continue
            if self._unsure(outage):
                yield Unit((self._begin("firing", outage), self._end(outage)), sure=False)
                continue
            firings = [*(at for at in firings if at > outage.start - HOUR), outage.start][-FLAPS:]
            if flapping_until is not None and outage.start >= flapping_until:
                yield Unit((self._said("resolved", flapping_until),))
                flapping_until = None
            if flapping_until is None:
                flaps = len(firings) == FLAPS
                yield Unit((self._begin("flapping" if flaps else "firing", outage),))
                flapping_until = outage.end + CALM if flaps else None
            if flapping_until is not None and outage.lasts > CALM:
                yield Unit((self._said("reminder", outage.start + CALM),))
                flapping_until = None
            elif flapping_until is not None:
                flapping_until = outage.end + CALM
            if flapping_until is None:
                yield Unit((self._end(outage),))
        if flapping_until is not None:
            yield Unit((self._said("resolved", flapping_until),))

    def _unsure(self, outage: Outage) -> bool:
        """It may end before it is noticed."""
        return outage.lasts < self._late(outage.start) - outage.start

    def _begin(self, kind: str, outage: Outage) -> Expected:
        return Expected(kind, outage.start + LEAST, self._heard(outage.start, self._late(outage.start)))

    def _end(self, outage: Outage) -> Expected:
        return Expected("resolved", outage.end, self._heard(outage.end, self._late(outage.end)))

    def _said(self, kind: str, at: float) -> Expected:
        return Expected(kind, at, self._heard(at, self._late(at) + self._interval))

    def _late(self, at: float) -> float:
        """An agent that was away looks once before it believes anything."""
        late = at + self._sure
        for start, end in sorted(self._away):
            if start <= late and end >= at - self._interval:
                late = max(late, end) + 2 * self._interval + self._sure
        return late

    def _heard(self, at: float, late: float) -> float:
        for start, end in sorted(self._deaf):
            if start <= late and end >= at:
                late = max(late, end + RETRIES)
        return late


def differences(units: Iterable[Unit], heard: Sequence[tuple[str, float]]) -> Iterator[str]:
    """Between what should be said, in order, and what was: (kind, at)."""
    left = list(heard)
    for unit in units:
        said = left[: len(unit.messages)]
        fit = len(said) == len(unit.messages) and all(
            each.fits(*one) for each, one in zip(unit.messages, said, strict=True)
        )
        if fit:
            del left[: len(unit.messages)]
        elif unit.sure:
            wanted = ", ".join(map(str, unit.messages))
            yield f"expected {wanted}; heard {left[:2]}"
            return
    yield from (f"nobody expects {kind} at {at:.0f} s" for kind, at in left)

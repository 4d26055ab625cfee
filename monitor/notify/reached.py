"""Who gets through to people, and which message reached nobody at all."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from monitor.quantity import format_duration

TOO_LONG = 300.0
"""Seconds for which a message may reach nobody before the agent counts as cut off."""
MOST_KEYS = 1000


@dataclass(slots=True)
class Unreached:
    """One receiver: since when, and with which messages; until the next one that gets through.

    `for_good`: it has refused one, and will not be asked again.
    """

    since: float
    why: str
    for_good: bool = False
    keys: dict[str, float] = field(default_factory=dict)


class Reached:
    """A receiver that is down is its own affair as long as another one has got the message.

    Kept of the last thousand messages, in memory: after a restart, those that wait are tried again.
    """

    def __init__(self) -> None:
        self._reached: OrderedDict[str, float] = OrderedDict()
        self._troubles: dict[str, Unreached] = {}
        self._well: set[str] = set()
        """Receivers that took the last message."""

    def trouble(self, receiver: str) -> Unreached | None:
        return self._troubles.get(receiver)

    def cut_off(self, receiver: str, now: float) -> bool | None:
        """Whether messages do not get through; None while nobody knows."""
        trouble = self._troubles.get(receiver)
        if trouble is None:
            return False if receiver in self._well else None
        return True if trouble.for_good or now - trouble.since > TOO_LONG else None

    def delivered(self, receiver: str, key: str, now: float) -> None:
        self._troubles.pop(receiver, None)
        self._well.add(receiver)
        self._reached[key] = now
        self._reached.move_to_end(key)
        if len(self._reached) > MOST_KEYS:
            self._reached.popitem(last=False)

    def failed(self, receiver: str, key: str, created_at: float, why: str, *, for_good: bool = False) -> None:
        self._well.discard(receiver)
        trouble = self._troubles.setdefault(receiver, Unreached(created_at, why))
        trouble.for_good |= for_good
        trouble.since, trouble.why = min(trouble.since, created_at), why
        if key in trouble.keys or len(trouble.keys) < MOST_KEYS:
            trouble.keys[key] = created_at

    def forget(self, receiver: str) -> None:
        self._troubles.pop(receiver, None)
        self._well.discard(receiver)

    def stall(self, now: float) -> str | None:
        """That a message has reached nobody for too long, and why the receiver that waits longest does not
        take it."""
        for receiver, trouble in sorted(self._troubles.items(), key=lambda each: each[1].since):
            waits = [at for key, at in trouble.keys.items() if self._reached.get(key, at - 1) < at]
            if waits and now - min(waits) > TOO_LONG:
                passed = format_duration(float(round(now - min(waits))))
                return f"a message has reached nobody for {passed}; {receiver}: {trouble.why}"
        return None

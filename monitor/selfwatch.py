"""What is wrong with the agent itself, as alerts about a target called `monitor`.

They go the way of all others. What one receiver does not take is told to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from monitor.alerting import OWN, UNSENT, Alert, Condition, Key, State
from monitor.notify.outbox import Outbox
from monitor.notify.reached import TOO_LONG
from monitor.quantity import format_duration
from monitor.recorder import Recorder

REFUSING, MISTAKEN = "store-refusing", "configuration-refused"
STORE_WITHIN = 60.0
"""Seconds for which the store may refuse before somebody is told: people lock databases now and then."""
MISTAKEN_FOR = 60.0
"""Seconds for which files may hold mistakes: somebody may be writing them."""
RUNBOOKS = tuple(f"docs/runbooks/{name}.md" for name in (REFUSING, UNSENT, MISTAKEN))


@dataclass(frozen=True, slots=True)
class SelfWatch:
    """`receivers`: the names of all notifiers. `refused`: why the files are not in force, if they aren't."""

    recorder: Recorder
    outbox: Outbox
    receivers: Collection[str]
    refused: Callable[[], str] = str

    def conditions(self, now: float) -> Iterator[Condition]:
        """Each in turn; `now` is in seconds since the epoch."""
        yield self._store(now)
        yield self._configuration(now)
        for receiver in self.receivers:
            yield self._receiver(receiver, now)

    def knows(self, key: Key) -> bool:
        """Whether an alert of an earlier process is one that this one can end."""
        return key in (_STORE, _FILES) or (
            (key.name, key.target) == (UNSENT, OWN) and key.check in self.receivers
        )

    def _store(self, now: float) -> Condition:
        trouble = self.recorder.trouble
        alert = _alert(
            _STORE,
            trouble.since if trouble else now,
            now,
            title="The agent's database takes nothing",
            value=f"{len(self.recorder)} cycles wait in memory" if trouble else "it takes all",
            threshold=f"it refuses for {format_duration(STORE_WITHIN)}",
            reason=trouble.why if trouble else "everything is stored",
        )
        return Condition(alert, broken=trouble is not None, wait=STORE_WITHIN, keep_firing=0.0)

    def _configuration(self, now: float) -> Condition:
        why = self.refused()
        alert = _alert(
            _FILES,
            now,
            now,
            title="The configuration has mistakes, the one before is in force",
            value="refused" if why else "in force",
            threshold=f"the files hold mistakes for {format_duration(MISTAKEN_FOR)}",
            reason=why or "the files are in force",
        )
        return Condition(alert, broken=bool(why), wait=MISTAKEN_FOR, keep_firing=0.0)

    def _receiver(self, receiver: str, now: float) -> Condition:
        """Nobody knows until it has taken or refused something: a restart ends no alert."""
        trouble, broken = self.outbox.reached.trouble(receiver), self.outbox.reached.cut_off(receiver, now)
        alert = _alert(
            Key(UNSENT, OWN, receiver),
            trouble.since if trouble else now,
            now,
            title=f"Messages do not get through to {receiver}",
            value=f"{len(trouble.keys)} not delivered" if trouble else "delivered again",
            threshold=f"one is refused for good, or waits for {format_duration(TOO_LONG)}",
            reason=trouble.why if trouble else "it took the last message",
        )
        return Condition(alert, broken, wait=0.0, keep_firing=0.0)


_STORE, _FILES = Key(REFUSING, OWN, "store"), Key(MISTAKEN, OWN, "configuration")


def _alert(
    key: Key, since: float, now: float, *, title: str, value: str, threshold: str, reason: str
) -> Alert:
    return Alert(
        key=key,
        state=State.PENDING,
        since=since,
        last_broken=now,
        severity="page" if key.name == UNSENT else "ticket",
        title=title,
        value=value,
        threshold=threshold,
        reason=reason,
        runbook=f"docs/runbooks/{key.name}.md",
    )

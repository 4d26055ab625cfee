"""What goes into the store, and what waits in its outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import sqlalchemy as sa

from monitor.alerting import Alert
from monitor.conversations import Conversation
from monitor.judge import Reading

OK = "ok"
IGNORED = frozenset({"throttled", "stalled"})
"""Reasons that say nothing about the target: it asked us to wait, or we stood still ourselves."""

Phases = tuple[float, float, float, float, float]
"""Seconds for dns, connect, tls, first_byte and transfer."""


class ProbeRow(NamedTuple):
    """`interval`: the seconds for which it speaks, until the target's next turn."""

    at: float
    target: str
    check: str
    reason: str
    detail: str
    duration: float
    status: int | None
    interval: float = 60.0
    phases: Phases = (0.0, 0.0, 0.0, 0.0, 0.0)


class Message(NamedTuple):
    """A notification for one notifier, as JSON text. `dedup_key` stays the same from firing to resolved."""

    notifier: str
    dedup_key: str
    body: str


class Once(Protocol):
    """Knows of entries whether they are stored already, by what it left in the same transaction."""

    def stored(self, connection: sa.Connection) -> list[int] | None:
        """The ids of their messages, if they are."""

    def end(self, connection: sa.Connection, ids: list[int]) -> None: ...


class Deploy(NamedTuple):
    """A version that a target was first seen with at that time (again, after a roll-back)."""

    at: float
    target: str
    version: str
    commit: str
    branch: str
    before: str
    """The version that it replaced; "" for the first one that is known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one cycle leaves behind."""

    at: float
    probes: tuple[ProbeRow, ...]
    changed: tuple[Alert, ...]
    standing: tuple[Alert, ...]
    """All alerts of the cycle's target that are pending or firing now."""
    target: str
    messages: tuple[Message, ...]
    conversations: tuple[Conversation, ...] = ()
    """Those that are not as they were."""
    deploys: tuple[Deploy, ...] = ()
    readings: tuple[Reading, ...] = ()

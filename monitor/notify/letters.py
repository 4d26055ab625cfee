"""Messages on their way, in memory: in order for each alert, whether or not the store has them yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from monitor.history import Message
from monitor.notify.missed import wakes

Fate = Literal["waiting", "delivered", "dead"]
Place = tuple[str, str]
"""A notifier and the key of a conversation."""


class Progress(NamedTuple):
    """How far a message has come, as it stands in the outbox table. Times in seconds since the epoch."""

    state: Fate
    attempts: int
    due_at: float
    ended_at: float | None
    error: str


@dataclass(slots=True, eq=False)
class Letter:
    """One message. `id` is its row's; None: the store doesn't have it."""

    message: Message
    created_at: float
    due_at: float
    attempts: int = 0
    id: int | None = None
    released: bool = False
    """It may be sent: it is stored, or the store refuses."""
    state: Fate = "waiting"
    ended_at: float | None = None
    error: str = ""
    wakes: bool = field(init=False)
    """It begins a page, which goes out before all that can wait."""

    def __post_init__(self) -> None:
        self.wakes = wakes(self.message)

    @classmethod
    def new(cls, message: Message, at: float, *, released: bool) -> Letter:
        return cls(message, created_at=at, due_at=at, released=released)

    @property
    def place(self) -> Place:
        return self.message.notifier, self.message.dedup_key

    @property
    def progress(self) -> Progress:
        return Progress(self.state, self.attempts, self.due_at, self.ended_at, self.error)

    def delivered(self, now: float) -> None:
        self.attempts, self.state, self.ended_at = self.attempts + 1, "delivered", now
        self.error = "" if self.id is not None else "delivered before it was stored"

    def postponed(self, due_at: float, error: str) -> None:
        self.attempts, self.due_at, self.error = self.attempts + 1, due_at, error

    def given_up(self, now: float, error: str) -> None:
        self.attempts, self.state, self.ended_at, self.error = self.attempts + 1, "dead", now, error


class Letters:
    """All that wait, by notifier and alert: one waits behind an earlier one with its key, so that "resolved"
    never overtakes "firing"."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, deque[Letter]]] = {}
        self._count = 0

    def add(self, letter: Letter) -> None:
        alerts = self._waiting.setdefault(letter.message.notifier, {})
        alerts.setdefault(letter.message.dedup_key, deque()).append(letter)
        self._count += 1

    def remove(self, letter: Letter) -> None:
        alerts = self._waiting[letter.message.notifier]
        queue = alerts[letter.message.dedup_key]
        queue.remove(letter)
        self._count -= 1
        if not queue:
            del alerts[letter.message.dedup_key]
        if not alerts:
            del self._waiting[letter.message.notifier]

    @property
    def notifiers(self) -> list[str]:
        return list(self._waiting)

    def first(self, notifier: str) -> Iterator[Letter]:
        """The oldest of each alert, the oldest alert first."""
        return (queue[0] for queue in self._waiting.get(notifier, {}).values())

    def oldest(self) -> Letter:
        return min(self, key=lambda letter: letter.created_at)

    def __iter__(self) -> Iterator[Letter]:
        for alerts in self._waiting.values():
            for queue in alerts.values():
                yield from queue

    def __len__(self) -> int:
        return self._count


def release(letters: Iterable[Letter]) -> None:
    for letter in letters:
        letter.released = True

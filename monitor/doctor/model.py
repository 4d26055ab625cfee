"""What a doctor says: what is wrong, by which signs, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from monitor.gate.model import Exit

if TYPE_CHECKING:
    from monitor.doctor.visit import Visit

SCHEMA_VERSION = 1


class Area(StrEnum):
    """In the order of a request's way, which is also the order of causes."""

    WAY = "way there"
    SERVICE = "service"
    DATABASE = "database"
    CORS = "CORS"
    JWT = "JWT"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `command` is to be copied: a command, or a setting with the right value; what a target
    sent is quoted in it for a shell."""

    said: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """`saw`: what was seen, as it was seen. `section` of the operations document."""

    saw: tuple[str, ...]
    cause: str
    cure: tuple[Step, ...]
    section: str


@dataclass(frozen=True, slots=True)
class Fine:
    """What was looked at, and is as it should be."""

    said: str


@dataclass(frozen=True, slots=True)
class NotLooked:
    """`allow`: what would let us look; "" where nothing but mending something else would."""

    why: str
    allow: str = ""


Outcome = Trouble | Fine | NotLooked | None
"""None: it is another kind's affair, which tells."""


class NotLookedError(Exception):
    """What a kind needs to know can't be known."""

    def __init__(self, why: str, allow: str = "") -> None:
        super().__init__(why)
        self.outcome = NotLooked(why, allow)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of trouble. `title` says it in words, as a headline."""

    area: Area
    title: str
    look: Callable[[Visit], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one kind. `broken`: the doctor itself failed at it."""

    name: str
    kind: Kind
    outcome: Outcome
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """`began` and `ended` in seconds since the epoch."""

    target: str
    began: float
    ended: float
    seen: tuple[Seen, ...]
    requests: int
    reached: bool
    left_behind: str = ""
    """An account that was made and could not be deleted."""
    interrupted: bool = False

    @property
    def troubles(self) -> list[tuple[Seen, Trouble]]:
        return [(each, each.outcome) for each in self.seen if isinstance(each.outcome, Trouble)]

    def exit(self) -> Exit:
        if self.interrupted:
            return Exit.INTERRUPTED
        if not self.reached:
            return Exit.UNREACHABLE
        if self.troubles:
            return Exit.FAIL
        if self.left_behind or any(each.broken for each in self.seen):
            return Exit.ERROR
        return Exit.PASS


def trouble(saw: str | tuple[str, ...], cause: str, *cure: Step, section: str) -> Trouble:
    return Trouble((saw,) if isinstance(saw, str) else saw, cause, cure, section)

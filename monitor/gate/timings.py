"""How long the requests of one run took, by kind: what this run, and a later one, is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from monitor.gate.model import Timed

if TYPE_CHECKING:
    from monitor.gate.sample import Answer

MOST = 200
"""Of each kind: a report stays small, and more would tell hardly more."""
DIGITS = 4
"""Of seconds: 0.1 ms."""


def counts(answer: Answer) -> bool:
    """Whether its duration is the service's: it did not throttle us, and this process did not stand still."""
    return answer.throttled is None and not answer.stalled


class Timings:
    def __init__(self) -> None:
        self._heard: dict[str, list[Answer]] = {}

    def hear(self, kind: str, answer: Answer) -> None:
        heard = self._heard.setdefault(kind, [])
        if counts(answer) and len(heard) < MOST:
            heard.append(answer)

    def timed(self) -> tuple[Timed, ...]:
        return tuple(timed(kind, heard) for kind, heard in self._heard.items() if heard)


def timed(kind: str, answers: Iterable[Answer]) -> Timed:
    heard = list(answers)
    good = [round(each.asked.seconds, DIGITS) for each in heard if not each.failed]
    return Timed(kind, tuple(good), len(heard) - len(good))

"""What is watched, as it truly is: when a service is down, slow or busy, and what its /metrics page says.

Times are seconds since the beginning of the story.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from exporters.http import Reason

TIMEOUT = 10.0
BOUNDS = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0, math.inf)
QUICK, SLOW = 0.05, 4.0
"""Seconds that a request of people takes when all is well, and when it is one of the slow ones."""
CORES, MEMORY, POOL = 4.0, 4e9, 20.0


class Answer(NamedTuple):
    """To one request; `takes` in seconds, endless for what never answers."""

    reason: Reason | None = None
    takes: float = 0.02
    status: int | None = 200
    retry_after: float | None = None
    said: str = "answered as expected"


WELL = Answer()
REFUSED = Answer(Reason.CONNECT, 0.001, None, said="connection refused")
HANGING = Answer(Reason.TIMEOUT, math.inf, None, said="no answer")


def failing(status: int) -> Answer:
    return Answer(Reason.STATUS, 0.02, status, said=f"answered {status}")


@dataclass(frozen=True, slots=True)
class Fault:
    """From `start` until `end` this is answered; `path` "" is for all of them, `every` 4 for each fourth
    connection alone."""

    start: float
    end: float
    answer: Answer
    path: str = ""
    every: int = 1

    def hits(self, at: float, path: str, connection: int) -> bool:
        return self.start <= at < self.end and self.path in ("", path) and connection % self.every == 0


class Flow(NamedTuple):
    """So much per second of something, from `start` until `end`."""

    start: float
    end: float
    per_second: float

    def between(self, start: float, end: float) -> float:
        return max(0.0, min(end, self.end) - max(start, self.start)) * self.per_second


class Level(NamedTuple):
    """So much of something from `start` on; `rising` by so much per second."""

    start: float
    value: float
    rising: float = 0.0


@dataclass(slots=True)
class Service:
    """`starts`: when its process began anew, with counters at nought; a version for each."""

    name: str
    faults: list[Fault] = field(default_factory=list)
    flows: dict[str, list[Flow]] = field(default_factory=dict)
    levels: dict[str, list[Level]] = field(default_factory=dict)
    starts: list[tuple[float, str]] = field(default_factory=lambda: [(-3600.0, "1.0.0")])
    broken_page: list[tuple[float, float]] = field(default_factory=list)
    connections: int = 0

    def answer(self, path: str, at: float) -> Answer:
        self.connections += 1
        hitting = [each for each in self.faults if each.hits(at, path, self.connections)]
        return hitting[-1].answer if hitting else WELL

    def bad_since(self, at: float, path: str = "/health") -> float:
        """From when on the service has been bad without a break; infinite when it is well."""
        began, moment = math.inf, at
        while True:
            covering = [each for each in self.faults if self._breaks(each, moment, path)]
            if not covering:
                return began
            moment = began = min(each.start for each in covering)
            moment -= 1e-9

    def _breaks(self, fault: Fault, at: float, path: str) -> bool:
        answer = fault.answer
        bad = answer.takes > TIMEOUT or (answer.reason is not None and answer.status != 429)
        return bad and fault.path in ("", path) and fault.start <= at < fault.end

    def page(self, at: float) -> str:
        """What /metrics says, in Prometheus' text format."""
        if any(start <= at < end for start, end in self.broken_page):
            return "http_requests_in_progress oops\n"
        return "".join(f"{line}\n" for line in self._lines(at))

    def _lines(self, at: float) -> Iterator[str]:
        began, version = [each for each in self.starts if each[0] <= at][-1]
        yield f'app_build_info{{version="{version}",commit="c{version}",branch="main"}} 1'
        good, slow, bad = (self._count(name, began, at) for name in ("good", "slow", "bad"))
        yield from _histogram({("200", QUICK): good, ("200", SLOW): slow, ("500", QUICK): bad})
        yield f"auth_login_failures_total {self._count('logins', began, at)}"
        yield f"zero_storage_violations_total {self._count('violations', began, at)}"
        yield f"process_tree_cpu_seconds_total {self._sum('cpu', began, at)}"
        yield f"process_tree_cpu_limit_cores {CORES}"
        yield f"process_tree_memory_bytes {self._level('memory', at, 0.4 * MEMORY)}"
        yield f"process_tree_memory_limit_bytes {MEMORY}"
        yield f"db_pool_checked_out {self._level('pool', at, 0.2 * POOL)}"
        yield f"db_pool_size {POOL}"
        yield f"http_requests_in_progress {self._level('queue', at, 3.0)}"

    def _sum(self, name: str, start: float, end: float) -> float:
        return sum(each.between(start, end) for each in self.flows.get(name, ()))

    def _count(self, name: str, start: float, end: float) -> int:
        return int(self._sum(name, start, end) + 1e-6)

    def _level(self, name: str, at: float, otherwise: float) -> float:
        reached = [each for each in self.levels.get(name, ()) if each.start <= at]
        return reached[-1].value + reached[-1].rising * (at - reached[-1].start) if reached else otherwise


def _histogram(requests: dict[tuple[str, float], int]) -> Iterator[str]:
    for status in ("200", "500"):
        of_status = {took: count for (code, took), count in requests.items() if code == status}
        place = f'method="GET",route="/clients",status="{status}"'
        for bound in BOUNDS:
            count = sum(each for took, each in of_status.items() if took <= bound)
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            yield f'http_request_duration_seconds_bucket{{{place},le="{le}"}} {count}'
        yield f"http_request_duration_seconds_count{{{place}}} {sum(of_status.values())}"


Apply = Callable[[Service], None]


def traffic(
    start: float, end: float, per_second: float, *, bad: float = 0.0, slow: float = 0.0
) -> Iterable[tuple[str, Flow]]:
    """Of people's requests, `bad` and `slow` are the shares that fail, or take four seconds."""
    shares = {"good": 1 - bad - slow, "bad": bad, "slow": slow}
    return [(name, Flow(start, end, per_second * share)) for name, share in shares.items() if share > 0]

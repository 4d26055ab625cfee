"""Asks a target until a sequential test is decided: what counts, what does not, and what is worth telling.

    warm-up     the first requests, one by one: how long a cold start took is told, and not judged
    bad         an error, a missed deadline, an answer that is too slow
    tried again no connection came about. Only for the first request that this happens to after the warm-up:
                a hiccup on the way to the target is forgiven, a habit is not
    invalid     bad, but perhaps because this process stood still. What is bad even without that time, or
                good in spite of it, is no less so: leaving out all that met with a standstill would leave
                out more slow requests than quick ones, and make a bad service look better
    throttled   429: asked to wait, it waits, and has learnt nothing

They are judged in the order in which they were asked: quick answers overtake slow ones.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from exporters.http import Reason
from exporters.http import Result as Probed
from monitor.gate.model import Asked, Cause, Evidence
from monitor.gate.sequential import Sequential, Verdict
from monitor.probes import LONG_STALL

PAUSES = (0.5, 1.5)
"""Seconds to wait before a connection is tried again."""
DOWN = 3
"""So many attempts from the start that connect to nobody: the target is down."""
WARM_UP = 3
SHOWN = 5
INVALID, INVALID_SHARE = 5, 0.1
"""More invalid samples than that, and than that share: this process cannot judge anybody."""
THROTTLED = 1.0
"""Seconds to wait after a 429 that does not say for how long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`failed`: an error, or a missed deadline (`timeout`). `reached`: a connection came about.

    `refused`: none did, and that was clear before the deadline. `stalled`: for how many seconds this process
    stood still meanwhile. `throttled`: seconds that it was asked to wait.
    """

    asked: Asked
    failed: bool
    reached: bool = True
    refused: bool = False
    timeout: bool = False
    stalled: float = 0.0
    throttled: float | None = None

    def bad(self, slow: float) -> bool:
        return self.failed or self.asked.seconds >= slow

    def invalid(self, slow: float) -> bool:
        """Bad, but that may be our own doing. Deadlines are extended by what we lost, up to twice."""
        if not self.bad(slow) or not self.stalled:
            return False
        if self.failed:
            return self.stalled >= (self.asked.seconds / 2 if self.timeout else LONG_STALL)
        return self.asked.seconds - self.stalled < slow


Ask = Callable[[], Awaitable[Answer]]
"""Has a deadline of its own, and never raises."""


def answered(what: str, probed: Probed) -> Answer:
    """From a probe. Ask with `keep_headers` for its request id."""
    phases = {name: seconds for name, seconds in asdict(probed.phases).items() if seconds}
    # Also "connect", with a first byte waited for, is who accepts and hangs up: that is an error.
    reached = probed.success or bool(phases.keys() & {"tls", "first_byte", "transfer"})
    return Answer(
        Asked(
            what,
            probed.status,
            probed.duration,
            dict(probed.headers).get("x-request-id", ""),
            "" if probed.success else probed.detail,
            phases,
        ),
        failed=not probed.success,
        reached=reached,
        refused=not reached and probed.reason in (Reason.DNS, Reason.CONNECT),
        timeout=probed.reason is Reason.TIMEOUT,
        stalled=probed.stalled,
        throttled=(probed.retry_after or THROTTLED) if probed.status == 429 else None,
    )


@dataclass(frozen=True, slots=True)
class Sampled:
    """`requests` are all that were sent, `retries` of them to connect again. Times in seconds.

    `bound`: with 95 % the share of bad ones is below (when it fails: above) it, early stop included.
    `cold`: the first answer. `slowest` and `failed`: at most SHOWN of each, the slowest first.
    """

    verdict: Verdict
    cause: Cause | None
    limit: float
    bad: int
    of: int
    bound: float | None
    missing: int
    seconds: float
    requests: int
    retries: int
    invalid: int
    throttled: int
    stalled: float
    cold: Asked | None
    slowest: tuple[Asked, ...]
    failed: tuple[Asked, ...]

    @property
    def evidence(self) -> Evidence:
        if not self.of:
            return Evidence(limit=self.limit)
        return Evidence("probes", self.bad, self.of, self.bound, self.limit, window=self.seconds)

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Those to look up: what failed, else what was slow."""
        return self.failed or self.slowest

    @property
    def aside(self) -> str:
        """What else happened, for the end of a sentence."""
        told = {
            "cold start {:.2g} s": self.cold.seconds if self.cold else 0,
            "{} tried to connect again": self.retries,
            "{} invalid, for this process stood still": self.invalid,
            "{} times asked to slow down": self.throttled,
        }
        return "; ".join(text.format(number) for text, number in told.items() if number)


async def sample(
    ask: Ask,
    test: Sequential,
    *,
    deadline: float,
    requests: int,
    slow: float = float("inf"),
    warm_up: int = WARM_UP,
    at_once: int = 1,
    told: Callable[[int, int], None] = lambda _bad, _of: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Sampled:
    """An answer that takes `slow` seconds is bad. Ends by `deadline`, with at most so many requests.

    `told` hears (bad, of) after each request. What is under way at the end is cancelled, and not judged.
    """
    turn = _Sampling(ask, test, requests, slow, warm_up, sleep)
    began = clock()
    try:
        async with asyncio.timeout(deadline - began) as scope:
            await turn.run(at_once, lambda: clock() >= deadline, told)
    except TimeoutError:
        if not scope.expired():
            raise
    return turn.sampled(clock() - began)


class _Sampling:
    def __init__(
        self,
        ask: Ask,
        test: Sequential,
        budget: int,
        slow: float,
        warm_up: int,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.ask, self.test, self.budget, self.slow = ask, test, budget, slow
        self.warming, self.sleep = warm_up, sleep
        self.bad = self.of = self.requests = self.retries = self.invalid = self.throttled = 0
        self.unreached = 0
        self.reached = self.forgiven = False
        self.stalled = 0.0
        self.cold: Asked | None = None
        self.slowest: list[Asked] = []
        self.failed: list[Asked] = []

    async def run(self, at_once: int, late: Callable[[], bool], told: Callable[[int, int], None]) -> None:
        under_way: deque[asyncio.Task[Answer]] = deque()
        try:
            while not self.over and not late():
                places = 1 if self.warming else at_once
                while len(under_way) < places and self.requests + len(under_way) < self.budget:
                    under_way.append(asyncio.create_task(self._asked()))
                if not under_way:
                    return
                self._take(await under_way.popleft())
                told(self.bad, self.of)
        finally:
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    @property
    def over(self) -> bool:
        return self.verdict is not None or self.cause in (Cause.TARGET_DOWN, Cause.STALLED)

    @property
    def verdict(self) -> Verdict | None:
        return self.test.verdict(self.bad, self.of)

    @property
    def cause(self) -> Cause | None:
        if self.verdict is not None:
            return None
        if not self.reached and self.unreached >= DOWN:
            return Cause.TARGET_DOWN
        if self.invalid > max(INVALID, INVALID_SHARE * self.of):
            return Cause.STALLED
        return Cause.TOO_FEW if self.of else Cause.NO_SAMPLES

    async def _asked(self) -> Answer:
        answer = await self._once()
        if answer.refused and (self.warming or not self.forgiven):
            self.forgiven = not self.warming
            answer = await self._again(answer)
        if answer.throttled is not None:
            await self.sleep(answer.throttled)
        return answer

    async def _again(self, answer: Answer) -> Answer:
        for pause in PAUSES:
            if not answer.refused or self.requests >= self.budget:
                break
            await self.sleep(pause)
            self.retries += 1
            answer = await self._once()
        return answer

    async def _once(self) -> Answer:
        self.requests += 1
        answer = await self.ask()
        self.reached |= answer.reached
        self.unreached += not answer.reached
        self.stalled += answer.stalled
        return answer

    def _take(self, answer: Answer) -> None:
        if answer.throttled is not None:
            self.throttled += 1
        elif self.warming:
            self.warming -= 1
            self.cold = self.cold or answer.asked
        elif answer.invalid(self.slow):
            self.invalid += 1
        else:
            self.of += 1
            self.bad += answer.bad(self.slow)
            self._show(answer)

    def _show(self, answer: Answer) -> None:
        shown = self.failed if answer.failed else self.slowest
        shown[:] = heapq.nlargest(SHOWN, [*shown, answer.asked], key=lambda each: each.seconds)

    def sampled(self, seconds: float) -> Sampled:
        bound = self.test.lower if self.verdict is Verdict.FAIL else self.test.upper
        decided = self.verdict in (Verdict.PASS, Verdict.FAIL)
        return Sampled(
            verdict=self.verdict or Verdict.INCONCLUSIVE,
            cause=self.cause,
            limit=self.test.limit,
            bad=self.bad,
            of=self.of,
            bound=bound(self.bad, self.of) if self.of else None,
            missing=0 if decided else self.test.missing(self.bad, self.of),
            seconds=seconds,
            requests=self.requests,
            retries=self.retries,
            invalid=self.invalid,
            throttled=self.throttled,
            stalled=self.stalled,
            cold=self.cold,
            slowest=tuple(self.slowest),
            failed=tuple(self.failed),
        )

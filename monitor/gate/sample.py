"""Asks a target until its claims are decided: what counts, what does not, and what is worth telling.

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
from collections.abc import Awaitable, Callable, Sequence
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


def answered(what: str, probed: Probed, request_id: str = "") -> Answer:
    """From a probe. Where no request id was sent, that of the answer is told, if its headers were kept."""
    phases = {name: seconds for name, seconds in asdict(probed.phases).items() if seconds}
    # Also "connect", with a first byte waited for, is who accepts and hangs up: that is an error.
    reached = probed.success or bool(phases.keys() & {"tls", "first_byte", "transfer"})
    return Answer(
        Asked(
            what,
            probed.status,
            probed.duration,
            request_id or dict(probed.headers).get("x-request-id", ""),
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


def _silent(_bad: int, _of: int) -> None:
    """For whom nobody watches."""


def _deaf(_answer: Answer) -> None:
    """For whom nobody keeps what was heard."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An answer that takes `slow` seconds is bad. `told` hears (bad, of) after each one that is judged."""

    test: Sequential
    slow: float = float("inf")
    told: Callable[[int, int], None] = _silent


@dataclass(frozen=True, slots=True)
class Sampled:
    """`errors` of those that were `bad` failed, the others took `slow` seconds or longer.

    `requests` are all that were sent, `retries` of them to connect again. Times in seconds.

    `bound`: with 95 % the share of bad ones is below (when it fails: above) it, early stop included.
    `cold`: the first answer. `slowest` and `failed`: at most SHOWN of each, the slowest first.
    """

    verdict: Verdict
    cause: Cause | None
    limit: float
    slow: float
    bad: int
    errors: int
    of: int
    bound: float | None
    missing: int
    invalid: int
    slowest: tuple[Asked, ...]
    failed: tuple[Asked, ...]
    seconds: float
    requests: int
    retries: int
    throttled: int
    stalled: float
    cold: Asked | None

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
    claims: Sequence[Claim],
    *,
    deadline: float,
    requests: int,
    warm_up: int = WARM_UP,
    at_once: int = 1,
    heard: Callable[[Answer], None] = _deaf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Sampled]:
    """One result for each claim: they look at the same requests, each until it is decided.

    Ends by `deadline`, with at most so many `requests`. What is under way at the end is cancelled, and not
    judged. `heard` gets each answer that is.
    """
    line = _Line(ask, requests, warm_up, sleep)
    tallies = [_Tally(claim) for claim in claims]
    began = clock()

    def over() -> bool:
        return line.down or clock() >= deadline or all(each.closed for each in tallies)

    def judge(answer: Answer) -> None:
        heard(answer)
        for each in tallies:
            each.take(answer)

    try:
        async with asyncio.timeout(deadline - began) as scope:
            await line.run(at_once, over, judge)
    except TimeoutError:
        if not scope.expired():
            raise
    return [_sampled(each, line, clock() - began) for each in tallies]


class _Line:
    """To the target: all that is asked and tried again, until somebody has heard enough."""

    def __init__(
        self, ask: Ask, budget: int, warm_up: int, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.ask, self.budget, self.warming, self.sleep = ask, budget, warm_up, sleep
        self.requests = self.retries = self.throttled = self.unreached = 0
        self.reached = self.forgiven = False
        self.stalled = 0.0
        self.cold: Asked | None = None

    @property
    def down(self) -> bool:
        return not self.reached and self.unreached >= DOWN

    async def run(self, at_once: int, over: Callable[[], bool], judge: Callable[[Answer], None]) -> None:
        under_way: deque[asyncio.Task[Answer]] = deque()
        try:
            while not over():
                places = 1 if self.warming else at_once
                while len(under_way) < places and self.requests + len(under_way) < self.budget:
                    under_way.append(asyncio.create_task(self._asked()))
                if not under_way:
                    return
                if self._counts(answer := await under_way.popleft()):
                    judge(answer)
        finally:
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _counts(self, answer: Answer) -> bool:
        if answer.throttled is not None:
            self.throttled += 1
            return False
        if self.warming:
            self.warming -= 1
            self.cold = self.cold or answer.asked
            return False
        return True

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


class _Tally:
    """Of one claim, until it is decided."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.bad = self.of = self.invalid = self.errors = 0
        self.slowest: list[Asked] = []
        self.failed: list[Asked] = []

    @property
    def verdict(self) -> Verdict | None:
        return self.claim.test.verdict(self.bad, self.of)

    @property
    def stalled(self) -> bool:
        return self.invalid > max(INVALID, INVALID_SHARE * self.of)

    @property
    def closed(self) -> bool:
        return self.verdict is not None or self.stalled

    def take(self, answer: Answer) -> None:
        if self.closed:
            return
        if answer.invalid(self.claim.slow):
            self.invalid += 1
            return
        self.of += 1
        self.bad += answer.bad(self.claim.slow)
        self.errors += answer.failed
        shown = self.failed if answer.failed else self.slowest
        shown[:] = heapq.nlargest(SHOWN, [*shown, answer.asked], key=lambda each: each.seconds)
        self.claim.told(self.bad, self.of)


def _sampled(tally: _Tally, line: _Line, seconds: float) -> Sampled:
    test, bad, of, verdict = tally.claim.test, tally.bad, tally.of, tally.verdict
    bound = test.lower if verdict is Verdict.FAIL else test.upper
    return Sampled(
        verdict or Verdict.INCONCLUSIVE,
        None if verdict else _cause(tally, line),
        test.limit,
        tally.claim.slow,
        bad,
        tally.errors,
        of,
        bound(bad, of) if of else None,
        0 if verdict in (Verdict.PASS, Verdict.FAIL) else test.missing(bad, of),
        tally.invalid,
        tuple(tally.slowest),
        tuple(tally.failed),
        seconds,
        line.requests,
        line.retries,
        line.throttled,
        line.stalled,
        line.cold,
    )


def _cause(tally: _Tally, line: _Line) -> Cause:
    if line.down:
        return Cause.TARGET_DOWN
    if tally.stalled:
        return Cause.STALLED
    return Cause.TOO_FEW if tally.of else Cause.NO_SAMPLES

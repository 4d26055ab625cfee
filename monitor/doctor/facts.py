"""What several kinds of trouble are told from. Each is asked for when something first needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from exporters.http import Reason
from monitor.doctor.model import NotLookedError
from monitor.doctor.visit import Answer, Visit
from monitor.gate.checks.tokens import WHO

T = TypeVar("T")

HEALTH, READY = "/health", "/health/ready"
FIRST_TIMEOUT = 10.0
WAKING_TIMEOUT = 20.0
"""Seconds that an instance which was asleep gets to answer at last."""
TRIES, PAUSE = 3, 0.5
GATEWAY_ERRORS = (502, 503, 504)
HEALTHS = 8
"""Of two instances both are met, but for one visit in 128."""
MOST_UNANSWERED = 2
"""Each costs seconds, of which a visit has few."""
CONNECTIONS = 12
"""For a token: one visit in 2,000 meets only one of two instances."""
AT_ONCE = 4
PROTECTED = "/clients"
"""What the frontend sends with a token: browsers ask before (a preflight)."""
TO_LOG_IN = (
    "give GATE_EMAIL and GATE_PASSWORD of an account; or --register, which writes one into the database and "
    "deletes it again, and so is done only when told"
)
TO_TRY_A_TOKEN = "give GATE_TOKEN, the token that is refused (browsers keep it in sessionStorage)"  # noqa: S105
TO_ASK_AS_A_BROWSER = (
    "give --origin, the frontend's address as browsers show it, such as https://paciolus.com"
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The first answer of /health. A second one where that may have been an instance's that was asleep."""

    first: Answer
    second: Answer | None = None

    @property
    def last(self) -> Answer:
        return self.second or self.first


async def arrival(visit: Visit) -> Arrival:
    return await visit.once("arrival", partial(_arrive, visit))


async def _arrive(visit: Visit) -> Arrival:
    for left in reversed(range(TRIES)):
        first = await visit.ask("GET", HEALTH, within=FIRST_TIMEOUT)
        if first.result.reason not in (Reason.CONNECT, Reason.DNS) or first.status or not left:
            break
        await asyncio.sleep(PAUSE)
    second = None
    if _may_have_slept(first):
        await asyncio.sleep(PAUSE)
        second = await visit.ask("GET", HEALTH, within=WAKING_TIMEOUT)
    visit.reached = any(each and each.status for each in (first, second))
    return Arrival(first, second)


def _may_have_slept(answer: Answer) -> bool:
    """Platforms let a request wait, show a page of their own, or say that nobody is there."""
    waited = (
        answer.result.reason is Reason.TIMEOUT and not answer.status and answer.result.phases.first_byte > 0
    )
    return waited or answer.status in GATEWAY_ERRORS or (answer.status == 200 and answer.is_html)


async def healthy(visit: Visit) -> Answer:
    """An answer of the API itself. Raises NotLookedError where something else answers, or nothing does."""
    answer = (await arrival(visit)).last
    if not answer.status:
        raise NotLookedError("the target does not answer")
    if not is_good(answer):
        raise NotLookedError("what answers on /health is not the API in good health")
    return answer


def is_good(answer: Answer) -> bool:
    return 200 <= answer.status < 300 and not answer.broken and isinstance(answer.json(), dict)


async def healths(visit: Visit) -> list[Answer]:
    """Of several fresh connections, good or not; one after the other, since their times count."""
    await healthy(visit)

    async def several() -> list[Answer]:
        found: list[Answer] = []
        while len(found) < HEALTHS and sum(not each.status for each in found) < MOST_UNANSWERED:
            found.append(await visit.ask("GET", HEALTH))
        return found

    return await visit.once("healths", several)


async def side_by_side(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """A few at a time: a doctor is no load test."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with places:
            return await call()

    return list(await asyncio.gather(*map(one, calls)))


async def ready(visit: Visit) -> Answer:
    await healthy(visit)
    return await visit.once("ready", lambda: visit.ask("GET", READY))


def origin(visit: Visit) -> str:
    """The frontend's, as browsers send it. Raises NotLookedError."""
    parts = urlsplit(visit.patient.origin)
    if not parts.netloc:
        raise NotLookedError("which origin the frontend has is not known", TO_ASK_AS_A_BROWSER)
    return f"{parts.scheme}://{parts.netloc.lower()}"


async def preflight(visit: Visit, of: str, method: str = "GET") -> Answer:
    """What a browser asks before a page of that origin may send a token."""
    await healthy(visit)
    asks = {
        "Origin": of,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return await visit.once(("preflight", of, method), lambda: visit.ask("OPTIONS", PROTECTED, headers=asks))


async def simple(visit: Visit, of: str) -> Answer:
    """What needs no preflight."""
    await healthy(visit)
    return await visit.once(("simple", of), lambda: visit.ask("GET", HEALTH, headers={"Origin": of}))


async def with_token(visit: Visit, token: str) -> list[Answer]:
    """What several fresh connections say to it. Raises NotLookedError if that decides nothing."""
    await healthy(visit)
    ask = partial(visit.ask, "GET", WHO, token=token)

    async def several() -> list[Answer]:
        first = await ask()
        return [first, *await side_by_side([ask] * (CONNECTIONS - 1 if first.status else 0))]

    found = await visit.once(("token", token), several)
    decided = [each for each in found if each.status in (200, 401, 403)]
    if not decided:
        raise NotLookedError(f"{found[0].said()}, which says nothing of a token")
    return decided

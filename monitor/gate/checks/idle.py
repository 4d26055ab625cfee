"""Whoever comes first after a while without requests: connections went stale, something was put to sleep.

Where few people ask, most requests are such a first one; sampling without pauses never sees it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.gate.asking import new_request_id
from monitor.gate.found import Found, failed, passed, unknown
from monitor.gate.model import Cause
from monitor.gate.sample import Answer, answered
from monitor.gate.sampling import asking

if TYPE_CHECKING:
    from monitor.gate.run import Run

PAUSE = 6.0
"""Seconds in which nothing but /metrics is asked."""
WHAT = "GET /clients"
PATIENCE = 10.0
AGAIN = 2
"""After a slow first one: both of these must be quick."""
WAITS = (PAUSE, PAUSE * (1 + AGAIN))


async def wakes_up(run: Run) -> Found:
    """A slow one may be chance, two of three are not."""
    token, limit = await run.journey.token(), run.claim.value
    seen = [await _first(run, token)]
    while seen[0].bad(limit) and len(seen) <= AGAIN and sum(each.bad(limit) for each in seen) < 2:
        seen.append(await _first(run, token))
    slow = [each for each in seen if each.bad(limit)]
    told = f"{', '.join(f'{each.asked.seconds:.2g} s' for each in seen)} after {PAUSE:g} s without requests"
    if any(each.invalid(limit) for each in slow):
        return unknown(
            Cause.STALLED, f"{told}, while this process stood still", [each.asked for each in slow]
        )
    if len(slow) > 1:
        return failed(told, *(each.asked for each in slow))
    return passed(told)


async def _first(run: Run, token: str) -> Answer:
    await asyncio.sleep(PAUSE)
    request, request_id = asking(run, WHAT, token, PATIENCE), new_request_id()
    headers = (*request.headers, ("X-Request-ID", request_id))
    run.asker.spend()
    return answered(WHAT, await run.prober.probe(replace(request, headers=headers)), request_id)

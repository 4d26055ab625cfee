"""Does memory grow? Watched under light load, after all that warms a process up.

It fails when a trend is shown to be above the limit, and passes when the second half of the watch was calm.
What still settles is watched for longer: memory that is given back would hide a leak. That shows a quick one;
slow ones are for the agent, which watches for days.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from statistics import median
from typing import TYPE_CHECKING

from monitor.gate.found import Found, failed, not_configured, passed, unknown
from monitor.gate.leak import leak
from monitor.gate.model import Cause, Evidence
from monitor.gate.sampling import taking_turns
from monitor.gate.scraping import MEMORY
from monitor.gate.sequential import Verdict

if TYPE_CHECKING:
    from monitor.gate.run import Run

LOOKS = (30.0, 45.0, 60.0, 90.0)
"""Seconds after which it is judged. Few, since each look at a trend may be a false alarm."""
CALM = 0.7
"""Of the limit: what rises just as fast as it may must not pass half of the time."""
WAITS = (LOOKS[0], LOOKS[-1])
EVERY = 0.5
MOST = round(LOOKS[-1] / EVERY)
"""Requests."""
SAVED = 150
"""Requests that are left to the checks after this one: when they are short, it watches without asking."""
ENDING = 1.0
"""Seconds that are left for saying what is known when the time is over."""
PATIENCE = 10.0
MB, MINUTE = 1e6, 60.0

Samples = list[tuple[float, float]]
"""(seconds since the first look, bytes)."""


async def grows(run: Run) -> Found:
    page = run.scraping
    if not await page.at_least(1):
        why = f"{page.url}: {page.fault}"
        return unknown(Cause.SOURCE_ERROR, why) if page.given or page.times else not_configured(why)
    if not _memory(run):
        return not_configured(f"the page has neither {' nor '.join(MEMORY)}")
    limit = run.claim.value * MB / MINUTE
    found = unknown(Cause.TOO_FEW, "no time to watch it")
    async for samples in _watched(run):
        found = _judged(run, samples, limit)
        if found.verdict is not Verdict.INCONCLUSIVE:
            break
    return found


async def _watched(run: Run) -> AsyncIterator[Samples]:
    """All samples so far, each time that they are to be judged."""
    following, loop = await taking_turns(run, run.config.requests, PATIENCE), asyncio.get_running_loop()
    began, found = loop.time(), Samples()
    for look in LOOKS:
        while (at := loop.time()) < began + look and run.left() > ENDING:
            if run.asker.left > SAVED:
                run.asker.spend()
                _, request = await following()
                await run.prober.probe(request)
            await run.scraping.look()
            if memory := _memory(run):
                found.append((at - began, memory))
            await asyncio.sleep(max(0.0, at + EVERY - loop.time()))
        yield found


def _memory(run: Run) -> float:
    """Bytes; 0 for none."""
    read = (run.scraping.newest(name) for name in MEMORY)
    return sum(each.value for each in next((found for found in read if found), []))


def _judged(run: Run, samples: Samples, limit: float) -> Found:
    """`limit` in bytes a second."""
    if (judged := leak(samples, limit)) is None:
        return unknown(Cause.TOO_FEW, f"{len(samples)} looks are too few for a trend")
    verdict, trend = judged
    calm = _rise(samples)
    said = f"{_a_minute(float(trend.slope))}, {_a_minute(calm)} in the second half"
    threshold = f"{run.claim.breach} MB a minute"
    evidence = Evidence("/metrics", value=said, threshold=threshold, window=round(samples[-1][0], 1))
    if verdict is Verdict.FAIL:
        return failed("it grows", evidence=evidence)
    if abs(calm) < CALM * limit:
        return passed("", evidence)
    return Found(
        Verdict.INCONCLUSIVE, "it may grow, or still settles: watch it for longer", Cause.TOO_FEW, evidence
    )


def _rise(samples: Samples) -> float:
    """Bytes a second in the second half: from the median of its first third to that of its last."""
    half = samples[len(samples) // 2 :]
    third = len(half) // 3
    first, last = half[:third], half[-third:]
    seconds = median(at for at, _ in last) - median(at for at, _ in first)
    return (median(value for _, value in last) - median(value for _, value in first)) / seconds


def _a_minute(slope: float) -> str:
    return f"{slope * MINUTE / MB:.2g} MB a minute"

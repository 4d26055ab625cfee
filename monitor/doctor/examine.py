"""One examination: every kind in its turn, within its time; then cleaning up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from exporters.http import Prober
from monitor.doctor import account, facts
from monitor.doctor.kinds import KINDS
from monitor.doctor.model import Kind, NotLooked, NotLookedError, Report, Seen
from monitor.doctor.visit import Patient, Visit

ARRIVING = 32.0
"""Seconds for the first answer: that of an instance that slept, after a first try."""
LOOK = 12.0
"""Seconds for one kind."""
WHOLE = 52.0
CLEANING = 8.0
"""Seconds; with those of the looks a minute in all."""


async def examine(
    patient: Patient, *, began: Callable[[str], None] = lambda _: None, clock: Callable[[], float] = time.time
) -> Report:
    """Never raises. Cancelled, it cleans up, and reports what it has seen. `began` is told each name."""
    start, seen, interrupted = clock(), list[Seen](), False
    async with Prober() as prober:
        visit = Visit(patient, prober, clock)
        try:
            await _look_around(visit, seen, began)
        except asyncio.CancelledError:
            interrupted = True
        await visit.end()
        left = await _cleaned(visit)
    return Report(
        patient.target, start, clock(), tuple(seen), visit.requests, visit.reached, left, interrupted
    )


async def _look_around(visit: Visit, seen: list[Seen], began: Callable[[str], None]) -> None:
    deadline = asyncio.get_running_loop().time() + WHOLE
    began("first answer")
    await facts.arrival(visit)
    for name, kind in KINDS.items():
        began(name)
        seen.append(await _seen(name, kind, visit, deadline))


async def _seen(name: str, kind: Kind, visit: Visit, deadline: float) -> Seen:
    now = asyncio.get_running_loop().time()
    if now >= deadline:
        return Seen(name, kind, NotLooked(f"the {WHOLE:.0f} s of a visit are over"))
    try:
        async with asyncio.timeout_at(min(deadline, now + LOOK)):
            return Seen(name, kind, await kind.look(visit))
    except NotLookedError as error:
        return Seen(name, kind, error.outcome)
    except TimeoutError:
        return Seen(name, kind, NotLooked(f"not known within {min(deadline - now, LOOK):.0f} s"))
    except Exception as error:  # noqa: BLE001 - a defect of ours must not hide what else there is
        broken = NotLooked(f"the doctor itself failed: {type(error).__name__}: {error}")
        return Seen(name, kind, broken, broken=True)


async def _cleaned(visit: Visit) -> str:
    try:
        async with asyncio.timeout(CLEANING):
            return await account.clean_up(visit)
    except TimeoutError:
        return f"{visit.made.login.email} (not deleted within {CLEANING:.0f} s)" if visit.made else ""

"""Whoever keeps us waiting loses the connection: there are few of them, and `/-/healthy` needs one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

LONGEST_WAIT = 10.0
"""Seconds for a client to send its whole request, or to read on."""
SWEEP_EVERY = 1.0


async def sweep(connections: Callable[[], Iterable[Any]]) -> None:
    """Until cancelled. `connections` are uvicorn's protocols."""
    waits: dict[tuple[Any, Any], float] = {}
    while True:
        now = time.monotonic()
        waits = {
            (each, each.cycle): waits.get((each, each.cycle), now)
            for each in connections()
            if _waits_for(each)
        }
        for (each, _), since in waits.items():
            if now - since > LONGEST_WAIT:
                each.transport.abort()
        await asyncio.sleep(SWEEP_EVERY)


def _waits_for(connection: Any) -> bool:
    """Whether it is the client's turn: a cycle is one request and its answer."""
    cycle = connection.cycle
    return cycle is None or cycle.response_complete or cycle.more_body or connection.flow.write_paused

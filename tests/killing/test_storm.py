"""kill -9 at random moments in a storm of alerts: nothing is lost, nobody is paged twice under a new key."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.history import History
from monitor.history.tables import outbox
from tests.killing.storm import Storm, nursery, written
from tests.servers import Postgres

YOUNG, LONGEST_START, LONGEST_LIFE = 0.25, 0.6, 1.6
"""Of those that die, some do before they have looked at anything. Seconds from the fork, and from the first
probe, to the kill, at most: while it reads its store, measures, pages, writes."""
PATIENCE = 60.0
"""Seconds until what has not been heard of from an agent that lives counts as lost."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'agent.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


async def test_killed_at_a_few_moments(database: str, tmp_path: Path) -> None:
    await killed(6, 12, database, tmp_path, first=4.0)


@pytest.mark.nightly
@pytest.mark.timeout(1500)
async def test_killed_at_200_moments(database: str, tmp_path: Path) -> None:
    await killed(200, 24, database, tmp_path, first=10.0)


async def killed(times: int, targets: int, database: str, folder: Path, first: float) -> None:
    dice, began = random.Random(times), time.monotonic()
    storm = Storm([f"t{number}" for number in range(targets)], dice, first)
    async with nursery(written(folder, database, storm), folder / "log") as agent, storm.running() as fates:
        for _ in range(times):
            storm.probed.clear()
            await agent.start()
            looks = True
            if dice.random() < YOUNG:
                await asyncio.sleep(dice.uniform(0, LONGEST_START))
            else:
                looks = await looked(storm)
                await asyncio.sleep(dice.uniform(0, LONGEST_LIFE))
            await agent.kill()
            assert looks, "an agent that lived looked at nothing"
        storm.probed.clear()
        await agent.start()
        assert await looked(storm)
        storm.over.set()
        _, lost = await asyncio.wait(fates, timeout=PATIENCE)
        assert not lost, f"not heard of: {storm.wrong()}"
        await written_down(database)
        await agent.stop()
    print(
        f"\n{database.partition(':')[0]}: killed {times} times in {time.monotonic() - began:.0f} s; {storm}"
    )
    assert storm.wrong() == []
    assert storm.on_call.late == 0, "a page that came again after its end opens a new incident"


async def looked(storm: Storm) -> bool:
    """Once a target was looked at, which it is within half a minute on the slowest machine."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            await storm.probed.wait()
    return storm.probed.is_set()


async def written_down(database: str) -> None:
    """Asked in a thread, for the targets and on-call must answer meanwhile."""
    found = await asyncio.to_thread(left, database)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while found != ([], [], []):
                await asyncio.sleep(0.3)
                found = await asyncio.to_thread(left, database)
    assert found == ([], [], [])


def left(database: str) -> tuple[list[str], list[str], list[str]]:
    """Messages not delivered, alerts that stand, and conversations that go on."""
    store = History(database)
    with store.engine.connect() as connection:
        unsent = connection.execute(sa.select(outbox.c.body).where(outbox.c.state != "delivered")).scalars()
        found = (
            list(unsent),
            [each.key.target for each in store.standing_alerts()],
            [each.key.target for each in store.conversations() if each.open],
        )
    store.close()
    return found

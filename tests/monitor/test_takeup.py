"""An agent that begins while its store is away, and what it knows when the store is back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from array import array
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import SQLAlchemyError

from exporters.sample import Sample
from monitor import recorder, takeup
from monitor.__main__ import _bound
from monitor.agent import Agent
from monitor.alerting import Alerting, State
from monitor.config import load_config
from monitor.conversations import Acknowledged, from_json
from monitor.deploys import BUILD_INFO, Deploys
from monitor.dispatch import Dispatch
from monitor.history import Deploy
from monitor.loading import objectives_of
from monitor.series import Memory
from tests.killing.storm import Storm, written
from tests.killing.test_storm import left, written_down
from tests.monitor.dispatching import DOWN, World, receiver, world
from tests.monitor.making import FIRING
from tests.monitor.test_store_away import refusing, suspended
from tests.servers import Postgres, eventually, run_postgres


class TwiceTold:
    """On-call was told; the agent began anew without its store, and told on-call and the chat."""

    def __init__(self) -> None:
        self.world = world(receiver("on-call"))
        self.world.breaks()
        self.stored = dict(self.world.stored)
        both = replace(self.world.config, notify=(receiver("on-call"), receiver("chat")))
        self.world.config = both
        self.world.dispatch = Dispatch(both, self.world.objectives, self.world.people)
        self.world.now += 60
        self.world.breaks()

    def opened(self) -> World:
        """Everything is stored again."""
        made = self.world
        standing = [alert for alerts in made.standing.values() for alert in alerts.values()]
        made.dispatch.restore(map(from_json, self.stored.values()), standing, made.now)
        made.passes(600)
        return made

    def heard(self, who: str) -> list[tuple[str, str]]:
        """Kinds and keys."""
        return [(str(each.kind), each.dedup_key) for each in self.world.heard if each.notifier == who]


def test_who_was_told_twice_hears_the_end_under_both_keys_and_who_heard_once_under_one() -> None:
    story = TwiceTold()
    (_, first), (_, second) = story.heard("on-call")
    made = story.opened()
    assert len(made.heard) == 3, "nobody hears of it once more"
    made.heals()
    assert story.heard("on-call")[2:] == [("resolved", first), ("resolved", second)]
    assert story.heard("chat") == [("firing", second), ("resolved", second)]


def test_another_restart_forgets_neither_key() -> None:
    story = TwiceTold()
    made = story.opened()
    made.people.acknowledgements[story.heard("on-call")[0][1]] = Acknowledged("ann", "on it", made.now)
    made.passes(5)
    assert [kind for kind, _ in story.heard("on-call")] == ["firing", "firing", "acknowledged"]
    made.restarts()
    made.heals()
    assert [kind for kind, _ in story.heard("on-call")][3:] == ["resolved", "resolved"]


def test_one_that_was_over_meanwhile_ends_for_those_who_were_told_before() -> None:
    story = TwiceTold()
    story.world.heals()
    still = replace(story.world.heard[0].alert, last_broken=story.world.now)
    story.world.standing["api"][DOWN] = still
    made = story.opened()
    made.heals()
    assert [kind for kind, _ in story.heard("on-call")] == ["firing", "firing", "resolved", "resolved"]
    assert len({key for _, key in story.heard("on-call")}) == 2


def test_of_alerts_only_what_fired_is_news_where_the_target_has_been_judged() -> None:
    here = replace(FIRING, since=500.0, fired_at=500.0)
    pending = replace(FIRING, key=FIRING.key._replace(name="pending"), state=State.PENDING, fired_at=None)
    other = replace(FIRING, key=FIRING.key._replace(name="other"))
    elsewhere = replace(pending, key=pending.key._replace(target="db"))
    alerting = Alerting([here])
    alerting.restore([FIRING, pending, other, elsewhere])
    assert alerting.alerts == {
        here.key: replace(here, since=FIRING.since),
        other.key: other,
        elsewhere.key: elsewhere,
    }


def test_the_past_of_a_series_comes_before_what_was_seen_here() -> None:
    memory, place = Memory({"probe_success": 1000.0}), (("target", "api"),)
    memory.remember("api", "health", 50.0, [Sample("probe_success", place, 0.0)])
    memory.of("api").restore("probe_success", place, array("d", [10.0, 20.0]), array("d", [1.0, 1.0]))
    memory.remember("api", "health", 60.0, [Sample("probe_success", place, 1.0)])
    [series] = memory.of("api")._by_name["probe_success"].values()
    assert [list(each) for each in series.between(0, 100)] == [[10.0, 20.0, 50.0, 60.0], [1.0, 1.0, 0.0, 1.0]]


def test_a_version_that_was_seen_here_is_not_taken_for_new_once_more() -> None:
    deploys = Deploys()
    seen = [Sample(BUILD_INFO, (("version", "2"),), 1.0)]
    assert len(deploys.observe("api", seen, 100.0)) == 1
    deploys.restore([Deploy(50.0, "api", "1", "", "", "")], 110.0)
    assert deploys.observe("api", seen, 120.0) == ()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """One that lets nobody in when the test says so."""
    with run_postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeup, "START_PATIENCE", 0.3)
    monkeypatch.setattr(takeup, "TRY_EVERY", 0.1)
    monkeypatch.setattr(recorder, "RETRY_AFTER", 0.1)
    monkeypatch.setattr(recorder, "NOTED_AFTER", 0.0)


@contextlib.asynccontextmanager
async def running(config: Path) -> AsyncIterator[tuple[Agent, str]]:
    """The whole agent, in this process, and its address."""
    settings = load_config(config)
    made = Agent(settings, objectives_of(settings))
    await asyncio.to_thread(made.restore)
    with _bound(settings) as listening:
        task = asyncio.create_task(made.run(listening))
        try:
            yield made, f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_without_its_store_it_pages_from_memory_and_ends_what_it_could_not_know(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    storm = Storm(["api"], random.Random(1))
    heard = storm.on_call.heard
    with own_postgres.database() as url:
        config = written(tmp_path, url, storm)
        async with storm.serving():
            storm.broken.add("api")
            async with running(config):
                await eventually(lambda: len(heard) == 1)
                await eventually(lambda: not left(url)[0])
            with refusing(own_postgres, url.rpartition("/")[2]):
                async with running(config) as (agent, address):
                    await eventually(lambda: len(heard) == 2)
                    said = await answered(f"{address}/-/healthy")
                    assert "the store has refused" in said
                    assert "is not currently accepting connections" in said
                    own_postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS true")
                    await eventually(lambda: agent._recorder.trouble is None)
                    storm.broken.clear()
                    await eventually(lambda: len(heard) == 4)
                    await written_down(url)
    first, second, *ends = heard
    assert first.key != second.key
    assert [(each.key, each.over) for each in ends] == [(first.key, True), (second.key, True)]
    assert storm.on_call.repeated == []


async def test_a_suspended_postgresql_keeps_it_from_nothing_for_long(
    own_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel takes connections for it, and it says nothing on them."""
    monkeypatch.setattr("monitor.history.store.BUSY_TIMEOUT", 2.0)
    storm = Storm(["api"], random.Random(1))
    storm.broken.add("api")
    with own_postgres.database() as url:
        async with storm.serving(), contextlib.AsyncExitStack() as at_end:
            with suspended(own_postgres):
                began = time.monotonic()
                agent, _ = await at_end.enter_async_context(running(written(tmp_path, url, storm)))
                await eventually(lambda: len(storm.on_call.heard) == 1)
                assert time.monotonic() - began < 15
            storm.broken.clear()
            await eventually(lambda: len(storm.on_call.heard) == 2, 20)
            await eventually(lambda: agent._recorder.trouble is None, 30)
            await written_down(url)
    assert storm.on_call.repeated == []


async def test_a_store_that_comes_within_ten_seconds_is_waited_for(
    own_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeup, "START_PATIENCE", 10.0)
    with own_postgres.database() as url, contextlib.ExitStack() as at_end:
        at_end.enter_context(refusing(own_postgres, url.rpartition("/")[2]))
        config = written(tmp_path, url, Storm(["api"], random.Random(1)))
        asyncio.get_running_loop().call_later(0.5, at_end.close)
        async with running(config) as (agent, _):
            assert agent._recorder.trouble is None


def test_a_file_that_is_no_store_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "agent.db").write_text("this is no database, whatever it is called")
    settings = load_config(
        written(tmp_path, f"sqlite:///{tmp_path / 'agent.db'}", Storm(["api"], random.Random(1)))
    )
    with pytest.raises(SQLAlchemyError, match="not a database"):
        Agent(settings, objectives_of(settings)).restore()


async def answered(url: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text

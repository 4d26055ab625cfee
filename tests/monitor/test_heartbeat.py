"""Beats to a real server, and their rhythm in simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from monitor.heartbeat import LOOK_EVERY, Heartbeat
from monitor.heartbeatconfig import HeartbeatConfig
from monitor.metrics import AgentMetrics
from monitor.notify.delivery import DeliveryError
from monitor.notify.reached import TOO_LONG, Reached
from monitor.probes import STALLED
from monitor.recorder import Trouble
from monitor.working import SLACK, TICK_WITHIN
from tests.monitor.simulated import SimulatedLoop
from tests.servers import free_port
from tests.web.scenes import NOW, World, healthy


class Switch:
    """The service outside: answers each beat with the next of `answers`, at last with 204."""

    def __init__(self) -> None:
        self.port = free_port()
        self.answers: list[str] = []
        self.requests: list[str] = []

    @property
    def config(self) -> HeartbeatConfig:
        return HeartbeatConfig(f"http://127.0.0.1:{self.port}/ping/secret", 60.0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0])
        answer = self.answers.pop(0) if self.answers else "204 No Content"
        writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def switch() -> AsyncIterator[Switch]:
    made = Switch()
    async with await asyncio.start_server(made.serve, "127.0.0.1", made.port):
        yield made


class Agent:
    """What a heartbeat needs of it."""

    def __init__(self, config: HeartbeatConfig | None) -> None:
        self.reasons: list[str] = []
        self.begun = True
        self.metrics = AgentMetrics(CollectorRegistry())
        self.heartbeat = Heartbeat(config, self, self.metrics, lambda: NOW)

    def stalls(self) -> list[str]:
        return self.reasons

    def counted(self) -> dict[str, float | None]:
        value = self.metrics.registry.get_sample_value
        return {
            each: value("monitor_heartbeats_total", {"outcome": each})
            for each in ("sent", "failed", "withheld")
        }


async def test_a_beat_is_a_post_to_the_address(switch: Switch) -> None:
    agent = Agent(switch.config)
    assert 59 < await agent.heartbeat.beat(switch.config) <= 60
    await agent.heartbeat.close()
    assert switch.requests == ["POST /ping/secret HTTP/1.1"]
    assert agent.counted() == {"sent": 1, "failed": 0, "withheld": 0}
    value = agent.metrics.registry.get_sample_value("monitor_heartbeat_last_success_timestamp_seconds")
    assert value == NOW


async def test_a_beat_that_was_refused_is_repeated_soon_and_logged_once(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "monitor.heartbeat")
    switch.answers = ["500 Oops", "404 Gone", "503 Later"]
    agent = Agent(switch.config)
    waits = [await agent.heartbeat.beat(switch.config) for _ in range(4)]
    await agent.heartbeat.close()
    assert waits[:3] == [1, 2, 4]
    assert agent.counted() == {"sent": 1, "failed": 3, "withheld": 0}
    assert [each.getMessage() for each in caplog.records] == [
        "heartbeat: not sent, each further try unlogged: answered 500",
        "heartbeat: sent again",
    ]


async def test_nobody_at_the_address_is_a_failed_beat() -> None:
    config = HeartbeatConfig(f"http://127.0.0.1:{free_port()}/", 60.0)
    agent = Agent(config)
    assert await agent.heartbeat.beat(config) == 1
    await agent.heartbeat.close()
    assert agent.counted()["failed"] == 1


async def test_no_beat_while_the_agent_stalls_and_the_log_says_why(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(switch.config)
    agent.reasons = ["no cycle has ended well", "nothing moves"]
    assert [await agent.heartbeat.beat(switch.config) for _ in range(3)] == [LOOK_EVERY] * 3
    assert switch.requests == []
    assert agent.counted() == {"sent": 0, "failed": 0, "withheld": 3}
    assert [each.getMessage() for each in caplog.records] == [
        "heartbeat: none goes out, for the agent does not work: no cycle has ended well; nothing moves"
    ]
    agent.reasons = []
    await agent.heartbeat.beat(switch.config)
    await agent.heartbeat.close()
    assert len(switch.requests) == 1


def rhythm(
    config: HeartbeatConfig | None,
    seconds: float,
    *,
    failing: Callable[[float], bool] = lambda _: False,
    stalling: Callable[[float], bool] = lambda _: False,
    begins: float = 0.0,
    then: Callable[[Heartbeat, float], None] = lambda *_: None,
) -> list[float]:
    """When beats arrived, in seconds of simulated time; `then` happens each second."""
    loop, arrived = SimulatedLoop(), list[float]()

    class Poster:
        async def post(self, _url: str) -> str:
            if failing(loop.time()):
                raise DeliveryError("refused")
            arrived.append(round(loop.time(), 3))
            return "204"

    async def story() -> None:
        agent = Agent(config)
        agent.stalls = lambda: ["it hangs"] if stalling(loop.time()) else []  # type: ignore[method-assign]
        agent.begun = not begins
        loop.call_later(begins, setattr, agent, "begun", True)
        await agent.heartbeat.close()
        agent.heartbeat._poster = Poster()  # type: ignore[assignment]
        running = loop.create_task(agent.heartbeat.run())
        for second in range(int(seconds)):
            await asyncio.sleep(second - loop.time())
            then(agent.heartbeat, second)
        running.cancel()
        await asyncio.wait([running])

    loop.run_until_complete(story())
    loop.close()
    return arrived


def test_beats_come_each_minute() -> None:
    assert rhythm(HeartbeatConfig("", 60.0), 301) == [0, 60, 120, 180, 240, 300]


def test_who_has_not_looked_at_anything_yet_does_not_work() -> None:
    assert rhythm(HeartbeatConfig("", 60.0), 200, begins=17.5) == [18, 78, 138, 198]


def test_after_a_failure_the_next_that_gets_through_comes_within_the_interval() -> None:
    arrived = rhythm(HeartbeatConfig("", 60.0), 400, failing=lambda at: 50 < at < 290)
    assert arrived[0] == 0
    assert 290 <= arrived[1] <= 350
    assert arrived[2] == arrived[1] + 60


def test_an_agent_that_works_again_says_so_within_seconds() -> None:
    arrived = rhythm(HeartbeatConfig("", 60.0), 400, stalling=lambda at: 50 < at < 291)
    assert arrived == [0, 295, 355]


def test_none_without_an_address_and_at_once_with_a_new_one() -> None:
    def configured(heartbeat: Heartbeat, second: float) -> None:
        if second == 100:
            heartbeat.configure(HeartbeatConfig("", 30.0))
        if second == 170:
            heartbeat.configure(None)

    assert rhythm(None, 300, then=configured) == [100, 130, 160]


@pytest.fixture
def made(tmp_path: Path) -> World:
    made = healthy(tmp_path)
    working = made.page.working
    for condition in working.cycle.conditions.values():
        condition.ended_at = NOW
    working.cycle.tick()
    assert working.faults() == []
    return made


def test_each_target_must_be_looked_at_in_time(made: World) -> None:
    working = made.page.working
    conditions = working.cycle.conditions
    conditions["api"].ended_at = NOW - 30 - 10 - SLACK
    assert working.stalls() == []
    conditions["api"].ended_at = NOW - 30 - 10 - SLACK - 1
    assert working.stalls() == ["not looked at in time: api for 51 s (50 s at most)"]


def test_a_target_that_was_never_looked_at_has_as_long_from_the_first_question_on(made: World) -> None:
    working = made.page.working
    working.cycle.conditions["api"].ended_at = None
    assert working.stalls() == []
    made.now += 51
    for name in ("db", "web"):
        working.cycle.conditions[name].ended_at = made.now
    working.cycle.tick()
    assert working.stalls() == ["not looked at in time: api for 51 s (50 s at most)"]


def test_an_agent_that_can_believe_nothing_of_what_it_sees_does_not_work(made: World) -> None:
    working = made.page.working
    for condition in working.cycle.conditions.values():
        condition.outcomes = {
            name: replace(each, reason=STALLED) for name, each in condition.outcomes.items()
        }
        condition.told_at = NOW - 60
    slowest = max(each.interval for each in working.cycle.config.targets)
    working.cycle.conditions["db"].told_at = NOW - 3 * slowest
    assert working.stalls() == []
    working.cycle.conditions["db"].told_at = None
    working.cycle.conditions["api"].told_at = working.cycle.conditions["web"].told_at = NOW - 3 * slowest - 1
    assert "too little time for a single probe" in working.stalls()[0]
    api = working.cycle.conditions["api"]
    api.outcomes = {name: replace(each, reason="connect") for name, each in api.outcomes.items()}
    assert working.stalls() == []


def test_what_time_alone_changes_must_be_decided(made: World) -> None:
    working = made.page.working
    working.cycle.ticked_at = NOW - TICK_WITHIN - 1
    assert "16 s nobody decided" in working.stalls()[0]


def test_a_store_that_refuses_is_worth_knowing(made: World) -> None:
    recorder = made.page.cycle.recorder
    recorder.trouble = Trouble(NOW - 9, "database is locked")
    assert recorder.note(NOW) is None
    recorder.trouble = Trouble(NOW - 90, "database is locked")
    said = "the store has refused for 1 min 30 s, 0 cycles wait in memory: database is locked"
    assert recorder.note(NOW) == said


class TestReached:
    """A message that nobody gets is the agent's affair; a receiver that is down is not."""

    def test_a_receiver_that_is_down_while_another_got_the_message(self) -> None:
        reached = Reached()
        reached.delivered("chat", "k", NOW + 1)
        reached.failed("pager", "k", NOW, "answered 500")
        assert reached.stall(NOW + 10 * TOO_LONG) is None

    def test_the_other_may_get_it_later(self) -> None:
        reached = Reached()
        reached.failed("pager", "k", NOW, "answered 500")
        reached.delivered("chat", "k", NOW + 1)
        assert reached.stall(NOW + 10 * TOO_LONG) is None

    def test_a_message_that_nobody_gets(self) -> None:
        reached = Reached()
        reached.delivered("chat", "another", NOW + 100)
        reached.failed("pager", "k", NOW, "answered 500")
        assert reached.stall(NOW + TOO_LONG) is None
        assert reached.stall(NOW + TOO_LONG + 1) == (
            "a message has reached nobody for 5 min 1 s; pager: answered 500"
        )

    def test_that_it_fires_was_heard_but_not_that_it_is_over(self) -> None:
        reached = Reached()
        reached.delivered("chat", "k", NOW)
        reached.failed("chat", "k", NOW + 60, "answered 500")
        assert reached.stall(NOW + 60 + TOO_LONG + 1) is not None

    def test_a_receiver_that_takes_the_next_one_is_there_again(self) -> None:
        reached = Reached()
        reached.failed("pager", "k", NOW, "answered 400")
        reached.delivered("pager", "next", NOW + 60)
        assert reached.stall(NOW + 10 * TOO_LONG) is None


async def test_healthy_says_why_not_and_what_is_worth_knowing(made: World) -> None:
    from monitor.web.app import create_web

    made.page.working.noted = lambda: ["the file has a mistake"]
    web = httpx.ASGITransport(create_web(made.page), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=web, base_url="http://127.0.0.1") as client:
        answer = await client.get("/-/healthy")
        assert (answer.status_code, answer.json()) == (
            200,
            {"healthy": True, "faults": [], "notes": ["the file has a mistake"]},
        )
        assert "the file has a mistake" in (await client.get("/")).text
        made.page.working.asked = (lambda _: "it hangs",)
        answer = await client.get("/-/healthy")
        assert answer.status_code == 503
        assert answer.json()["faults"] == ["it hangs"]

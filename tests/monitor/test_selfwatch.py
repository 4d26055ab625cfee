"""The agent's own troubles are alerts of their own: told to those who can be told, over when they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from monitor.alerting import OWN, UNSENT, Alerting, Key
from monitor.config import Config
from monitor.conversations import Kind
from monitor.cycle import Cycle
from monitor.dispatch import Dispatch
from monitor.history import Entry, History, Message
from monitor.metrics import AgentMetrics
from monitor.notify.delivery import DeliveryError
from monitor.notify.facts import Facts
from monitor.notify.message import page_json, summary
from monitor.notify.page import parse_page
from monitor.notify.reached import TOO_LONG
from monitor.objectives import Objectives
from monitor.recorder import Trouble
from monitor.selfwatch import MISTAKEN_FOR, REFUSING, STORE_WITHIN, SelfWatch
from monitor.series import Memory
from tests.monitor.dispatching import config, receiver
from tests.monitor.making import FIRING, recorder_of, target

NOW = 1_700_000_000.0


class Receiver:
    """Takes messages unless it is `broken`."""

    def __init__(self) -> None:
        self.broken: DeliveryError | None = None
        self.heard: list[tuple[Kind, str]] = []

    async def send(self, body: str, dedup_key: str) -> None:
        if self.broken:
            raise self.broken
        page = parse_page(body)
        self.heard.append((page.kind, page.summary))

    async def close(self) -> None:
        """Nothing to do."""


class World:
    """Two receivers of pages and one of tickets; each second passes when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.receivers = {name: Receiver() for name in ("pager", "chat", "tracker")}
        taken = [receiver(name, severities=("page",)) for name in ("pager", "chat")]
        self.config: Config = config([*taken, receiver("tracker", severities=("ticket",))], [target()])
        self.history = History(f"sqlite:///{folder / 'agent.db'}")
        self.history.create()
        self.metrics = AgentMetrics(CollectorRegistry())
        self.recorder, self.outbox = recorder_of(self.history, self.metrics, lambda: self.now, self.receivers)
        self.cycle = self.agent(self.config)

    def agent(self, config: Config) -> Cycle:
        objectives = Objectives((), Path())
        names = [each.name for each in config.notify]
        return Cycle(
            config,
            objectives,
            prober=None,  # type: ignore[arg-type]
            memory=Memory({}),
            alerting=Alerting(),
            dispatch=Dispatch(config, objectives),
            recorder=self.recorder,
            metrics=self.metrics,
            clock=lambda: self.now,
            conditions={},
            own=SelfWatch(self.recorder, self.outbox, names).conditions,
        )

    async def message(self, to: str, key: str = "k") -> None:
        """One about some target."""
        body = page_json(to, Kind.FIRING, FIRING, key, Facts(at=self.now))
        self.recorder.add(Entry(self.now, (), (), (), "api", (Message(to, key, body),)))
        await self.pass_by(1)

    async def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.cycle.tick()
            await self.recorder.flush_all()
            await self.outbox.send_due()

    def heard(self, name: str) -> list[tuple[Kind, str]]:
        return self.receivers[name].heard


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_bad_key_is_told_through_the_others_and_over_with_the_next_success(world: World) -> None:
    pager = world.receivers["pager"]
    pager.broken = DeliveryError("answered 401 invalid routing key", permanent=True)
    await world.message("pager")
    await world.pass_by(2)
    title = "monitor: Messages do not get through to pager"
    limit = "(alert when one is refused for good, or waits for 5 min)"
    firing = [(Kind.FIRING, f"{title}: 1 not delivered {limit}")]
    assert world.heard("chat") == world.heard("tracker") == firing
    pager.broken = None
    await world.pass_by(600)
    assert world.heard("chat") == firing
    await world.message("pager", "next")
    await world.pass_by(2)
    assert [kind for kind, _ in world.heard("chat")] == [Kind.FIRING, Kind.RESOLVED]
    assert [kind for kind, _ in world.heard("tracker")] == [Kind.FIRING, Kind.RESOLVED]
    assert [said for _, said in pager.heard] == [summary(FIRING)], "who was cut off hears nothing of that"


async def test_a_receiver_that_is_down_is_told_when_it_lasts(world: World) -> None:
    world.receivers["pager"].broken = DeliveryError("answered 503")
    await world.message("pager")
    await world.pass_by(int(TOO_LONG) - 2)
    assert world.heard("chat") == []
    await world.pass_by(4)
    assert [kind for kind, _ in world.heard("chat")] == [Kind.FIRING]


async def test_all_at_once_broken_is_no_endless_echo(world: World) -> None:
    for each in world.receivers.values():
        each.broken = DeliveryError("answered 404", permanent=True)
    for name in world.receivers:
        await world.message(name)
    await world.pass_by(60)
    keys = {key for key in world.cycle.alerting.alerts if key.name == UNSENT}
    assert keys == {Key(UNSENT, OWN, name) for name in world.receivers}
    assert len(world.outbox) == 0
    value = world.metrics.registry.get_sample_value
    given_up = sum(
        value("monitor_notifications_total", {"notifier": name, "outcome": "given_up"}) or 0
        for name in world.receivers
    )
    assert given_up == 3 + 3 * 2, "the first three, and each trouble once to each of the two others"


async def test_a_store_that_refuses_is_a_ticket_about_the_agent(world: World) -> None:
    world.recorder.trouble = Trouble(world.now, "database is locked")
    for _ in range(int(STORE_WITHIN) - 1):
        world.now += 1
        world.cycle.tick()
    assert world.cycle.dispatch.conversations == {}
    world.now += 1
    world.cycle.tick()
    await world.outbox.send_due()
    [(kind, said)] = world.heard("tracker")
    assert kind is Kind.FIRING
    assert said.startswith("monitor: The agent's database takes nothing: 0 cycles wait in memory (alert when")
    assert world.heard("pager") == []
    await world.pass_by(2)
    assert [kind for kind, _ in world.heard("tracker")] == [Kind.FIRING, Kind.RESOLVED]
    assert REFUSING not in {key.name for key in world.cycle.alerting.alerts}


async def test_files_with_mistakes_are_a_ticket_when_they_stay(world: World) -> None:
    why = ["monitor.yml:3: targets: unknown key"]
    world.cycle.own = SelfWatch(world.recorder, world.outbox, [], lambda: "".join(why)).conditions
    await world.pass_by(int(MISTAKEN_FOR))
    assert world.heard("tracker") == []
    await world.pass_by(2)
    [(kind, said)] = world.heard("tracker")
    assert (kind, said.startswith("monitor: The configuration has mistakes")) == (Kind.FIRING, True)
    assert world.heard("pager") == []
    why.clear()
    await world.pass_by(2)
    assert [kind for kind, _ in world.heard("tracker")] == [Kind.FIRING, Kind.RESOLVED]


async def test_a_restart_ends_nothing_of_which_it_knows_nothing(world: World) -> None:
    world.receivers["pager"].broken = DeliveryError("answered 401", permanent=True)
    await world.message("pager")
    await world.pass_by(2)
    standing = world.history.standing_alerts()
    conversations = world.history.conversations()
    world.outbox.reached = type(world.outbox.reached)()
    world.cycle = world.agent(world.config)
    world.cycle.alerting.restore(standing)
    world.cycle.dispatch.restore(conversations, standing, world.now)
    await world.pass_by(30)
    assert [kind for kind, _ in world.heard("chat")] == [Kind.FIRING]
    world.receivers["pager"].broken = None
    await world.message("pager", "next")
    await world.pass_by(2)
    assert [kind for kind, _ in world.heard("chat")] == [Kind.FIRING, Kind.RESOLVED]


async def test_a_receiver_that_is_no_longer_configured_ends_its_alert(world: World) -> None:
    world.receivers["pager"].broken = DeliveryError("answered 401", permanent=True)
    await world.message("pager")
    await world.pass_by(2)
    fewer = replace(world.config, notify=world.config.notify[1:])
    world.cycle.own = SelfWatch(world.recorder, world.outbox, [each.name for each in fewer.notify]).conditions
    await world.pass_by(2)
    assert [kind for kind, _ in world.heard("chat")] == [Kind.FIRING, Kind.RESOLVED]

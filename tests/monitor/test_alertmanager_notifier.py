"""The agent's alerts in a real Alertmanager, alone and beside somebody who says what Prometheus says.

Every story ends the same way: one page, one resolve.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry

from monitor.alerting import NO_DATA, Alert, Key, State
from monitor.conversations import Kind
from monitor.links import panel_link
from monitor.metrics import AgentMetrics
from monitor.notify import alertmanager as module
from monitor.notify.alertmanager import Alertmanager as Notifier
from monitor.notify.delivery import DeliveryError
from monitor.notify.facts import Facts
from monitor.notify.message import alert_body, dedup_key, page_json
from monitor.notify.resend import Resend
from monitor.objectives import load_objectives
from monitor.resources import ROOT
from tests import alertmanager
from tests.alertmanager import after
from tests.conftest import StartProcess
from tests.inbox import Inbox, run_inbox
from tests.monitor.making import FIRING, notifier_of
from tests.running import Agent as RunningAgent
from tests.servers import eventually, free_port, wait_until

pytestmark = pytest.mark.slow

OBJECTIVES = load_objectives(ROOT / "alerts" / "objectives.yml")
RULES = yaml.safe_load((ROOT / "alerts" / "rules.yml").read_text())
ROUND, LEAD = 0.3, 3.0
"""Seconds, for 30 and 120."""
PAGED, RESOLVED = ("firing", "error-rate"), ("resolved", "error-rate")
LABELS = {"alertname": "error-rate", "target": "api", "check": "metrics", "severity": "page"}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


@pytest.fixture
def server(process: StartProcess, tmp_path: Path, inbox: Inbox) -> alertmanager.Alertmanager:
    return alertmanager.Alertmanager(process, tmp_path, inbox)


@dataclass
class Agent:
    """All of the agent that Alertmanager can see: transitions through `send`, and a task that resends."""

    url: str
    alert: Alert | None = None
    metrics: AgentMetrics = field(default_factory=lambda: AgentMetrics(CollectorRegistry()))

    def __post_init__(self) -> None:
        config = notifier_of("alertmanager", "am", url=self.url, resend=ROUND)
        self.notifier = Notifier(config, lead=LEAD)
        alerts = lambda: [self.alert] if self.alert else []  # noqa: E731
        self.resend = Resend(
            self.notifier, alerts, OBJECTIVES, self.metrics, lambda alert: Facts(at=alert.last_broken)
        )

    async def fire(self) -> None:
        now = time.time()
        self.alert = replace(FIRING, since=now - 60, last_broken=now, fired_at=now)
        await self.tell(self.alert)

    async def improve(self) -> None:
        """Good again, and held by keep_firing_for."""
        assert self.alert
        self.alert = replace(self.alert, good_since=time.time())

    def still_broken(self) -> None:
        assert self.alert
        self.alert = replace(self.alert, last_broken=time.time())

    async def resolve(self) -> None:
        assert self.alert
        over = replace(self.alert, state=State.RESOLVED, resolved_at=time.time())
        self.alert = None
        await self.tell(over)

    async def tell(self, alert: Alert, kind: Kind | None = None) -> None:
        await self.notifier.send(
            page_json("am", kind, alert, dedup_key(alert), Facts(at=alert.last_broken), OBJECTIVES),
            dedup_key(alert),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.resend.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.notifier.close()

    def rounds(self, outcome: str) -> float:
        names = {"notifier": "am", "outcome": outcome}
        return self.metrics.registry.get_sample_value("monitor_resends_total", names) or 0.0

    async def rounds_pass(self, count: int = 3, outcome: str = "done") -> None:
        enough = self.rounds(outcome) + count
        await eventually(lambda: self.rounds(outcome) >= enough, 20, f"{count} rounds {outcome}")


@dataclass
class Prometheus:
    """What Prometheus says of one alert: an end of four intervals ahead while it fires, at last one that is
    past, and that again for a quarter of an hour."""

    server: alertmanager.Alertmanager
    interval: float = 1.4

    def __post_init__(self) -> None:
        self.said: dict[str, str] = {}
        self._fires = asyncio.Event()

    def fire(self) -> None:
        self.said = {"startsAt": after(-1)}
        self._fires.set()

    def resolve(self) -> None:
        self.said["endsAt"] = after(-0.05)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        await self._fires.wait()
        while True:
            said = {"endsAt": after(4 * self.interval), **self.said, "annotations": {"by": "Prometheus"}}
            with contextlib.suppress(httpx.HTTPError):
                await asyncio.to_thread(self.server.post, LABELS, **said)
            await asyncio.sleep(self.interval)


@pytest.fixture
async def agent(server: alertmanager.Alertmanager) -> AsyncIterator[Agent]:
    made = Agent(server.url)
    async with made.running():
        yield made


@pytest.fixture
async def prometheus(server: alertmanager.Alertmanager) -> AsyncIterator[Prometheus]:
    made = Prometheus(server)
    async with made.running():
        yield made


async def page(inbox: Inbox) -> None:
    await eventually(lambda: inbox.story == [PAGED], 10, "the page")


async def one_page_one_resolve(inbox: Inbox, agent: Agent) -> None:
    await eventually(lambda: RESOLVED in inbox.story, 10, "the resolve")
    await agent.rounds_pass(6)  # longer than a group_interval; only time can show that nothing follows
    assert inbox.story == [PAGED, RESOLVED]


async def test_alone_it_pages_once_and_resolves_once(agent: Agent, inbox: Inbox) -> None:
    await agent.fire()
    await page(inbox)
    await agent.rounds_pass(6)
    assert inbox.story == [PAGED]
    await agent.improve()
    await agent.rounds_pass()
    await agent.resolve()
    await one_page_one_resolve(inbox, agent)
    said = inbox.notices[0].annotations
    assert said["dashboard"] == panel_link(OBJECTIVES, OBJECTIVES.by_name("error-rate"))
    assert said["description"].endswith("Documented: §9.2: 5XX errors / total requests above 5 %.")
    assert (
        inbox.notices[1]
        .annotations["summary"]
        .startswith("api: Server errors (5xx / all requests): good again")
    )


@pytest.mark.parametrize("first", ["agent", "prometheus"])
@pytest.mark.parametrize(
    "ends",
    ["agent, then prometheus", "prometheus while the agent holds", "prometheus, which the agent doubts"],
)
async def test_beside_prometheus_in_every_order(
    first: str, ends: str, agent: Agent, prometheus: Prometheus, inbox: Inbox
) -> None:
    if first == "agent":
        await agent.fire()
        await page(inbox)
        prometheus.fire()
    else:
        prometheus.fire()
        await page(inbox)
        await agent.fire()
    await agent.rounds_pass()
    assert inbox.story == [PAGED]
    await end(ends, agent, prometheus, inbox)
    await one_page_one_resolve(inbox, agent)
    assert len({notice.fingerprint for notice in inbox.notices}) == 1


async def end(ends: str, agent: Agent, prometheus: Prometheus, inbox: Inbox) -> None:
    if ends == "agent, then prometheus":
        await agent.improve()
        await agent.resolve()
        await asyncio.sleep(LEAD + 1.5)  # the agent's end has passed, and Prometheus still sees the fault
        assert inbox.story == [PAGED]
        prometheus.resolve()
    elif ends == "prometheus while the agent holds":
        await agent.improve()
        prometheus.resolve()
        await eventually(lambda: RESOLVED in inbox.story, 10, "the resolve")
        await agent.rounds_pass(6)
        await agent.resolve()
    else:
        prometheus.resolve()
        await eventually(lambda: RESOLVED in inbox.story, 10, "the resolve")
        agent.still_broken()
        await agent.rounds_pass(6)
        await agent.resolve()


async def test_a_reminder_raises_nothing_that_somebody_else_has_ended(
    server: alertmanager.Alertmanager, inbox: Inbox
) -> None:
    agent = Agent(server.url)
    for kind in (Kind.REMINDER, Kind.ACKNOWLEDGED):
        await agent.tell(FIRING, kind)
    assert server.alerts() == []
    await agent.notifier.close()


async def test_an_alert_that_prometheus_ended_and_began_anew_is_said_again(
    agent: Agent, prometheus: Prometheus, inbox: Inbox
) -> None:
    await agent.fire()
    prometheus.fire()
    await page(inbox)
    prometheus.resolve()
    await eventually(lambda: RESOLVED in inbox.story, 10, "the resolve")
    await agent.rounds_pass()
    prometheus.fire()
    await eventually(lambda: inbox.story == [PAGED, RESOLVED, PAGED], 10, "the second page")
    await agent.resolve()
    prometheus.resolve()
    await eventually(lambda: inbox.story == [PAGED, RESOLVED] * 2, 10, "the second resolve")


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside prometheus"])
async def test_alertmanager_killed_while_an_alert_fires(
    beside: bool, agent: Agent, prometheus: Prometheus, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    await agent.fire()
    if beside:
        prometheus.fire()
    await page(inbox)
    await asyncio.sleep(1.5)  # until it has written down whom it notified
    server.kill()
    await agent.rounds_pass(2, "failed")
    server.start()
    await eventually(lambda: [a["labels"] for a in server.alerts()] == [LABELS], 10, "the alert is back")
    await agent.rounds_pass(6)
    assert inbox.story == [PAGED]
    await agent.resolve()
    if beside:
        prometheus.resolve()
    await one_page_one_resolve(inbox, agent)


async def test_with_its_storage_lost_it_pages_again(
    agent: Agent, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    """Nobody knows any more that on-call was told: better twice than not at all."""
    await agent.fire()
    await page(inbox)
    server.kill()
    server.forget()
    server.start()
    await eventually(lambda: inbox.story == [PAGED, PAGED], 10, "the page of the new Alertmanager")
    await agent.resolve()
    await eventually(lambda: inbox.story == [PAGED, PAGED, RESOLVED], 10, "the resolve")


async def test_an_end_that_alertmanager_did_not_live_to_see_is_told_to_the_next(
    agent: Agent, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    await agent.fire()
    await page(inbox)
    await asyncio.sleep(1.5)  # until it has written down whom it notified
    await agent.resolve()
    server.kill()
    server.start()
    await one_page_one_resolve(inbox, agent)


async def test_an_end_said_late_resolves(
    agent: Agent, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    await agent.fire()
    await page(inbox)
    await asyncio.sleep(1.5)  # until it has written down whom it notified
    server.kill()
    assert agent.alert
    over = replace(agent.alert, state=State.RESOLVED, resolved_at=time.time())
    with pytest.raises(DeliveryError, match="no answer"):
        await agent.resolve()
    server.start()
    await agent.tell(over)
    await one_page_one_resolve(inbox, agent)


async def test_a_fault_that_was_over_before_alertmanager_was_back_is_told(
    agent: Agent, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    """As the outbox does it: in order, when there is somebody to tell."""
    server.kill()
    with pytest.raises(DeliveryError, match="no answer"):
        await agent.fire()
    assert agent.alert
    over = replace(agent.alert, state=State.RESOLVED, resolved_at=time.time())
    begun, agent.alert = agent.alert, None
    server.start()
    await agent.tell(begun)
    await page(inbox)
    await agent.tell(over)
    await one_page_one_resolve(inbox, agent)


async def test_restarted_it_goes_on_without_a_word_to_on_call(
    inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    first = Agent(server.url)
    async with first.running():
        await first.fire()
        await page(inbox)
    second = Agent(server.url, first.alert)
    async with second.running():
        await second.rounds_pass(6)
        assert inbox.story == [PAGED]
        await second.resolve()
        await one_page_one_resolve(inbox, second)


async def test_restarted_it_does_not_raise_what_ended_meanwhile(
    prometheus: Prometheus, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    first = Agent(server.url)
    async with first.running():
        await first.fire()
        prometheus.fire()
        await page(inbox)
    prometheus.resolve()
    await eventually(lambda: RESOLVED in inbox.story, 10, "the resolve")
    second = Agent(server.url, first.alert)
    async with second.running():
        await second.rounds_pass()
        await second.resolve()
        await one_page_one_resolve(inbox, second)


async def test_restarted_it_raises_what_it_sees_broken(
    inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    now = time.time()
    agent = Agent(server.url, replace(FIRING, since=now - 60, last_broken=now - 30, fired_at=now - 30))
    async with agent.running():
        await agent.rounds_pass()
        assert server.alerts() == []
        agent.still_broken()
        await page(inbox)


async def test_without_resending_it_would_end(process: StartProcess, tmp_path: Path, inbox: Inbox) -> None:
    server = alertmanager.Alertmanager(process, tmp_path, inbox, resolve_timeout="2s")
    agent = Agent(server.url)
    async with agent.running():
        await agent.fire()
        await page(inbox)
        await asyncio.sleep(4)
        assert inbox.story == [PAGED]
    await eventually(lambda: RESOLVED in inbox.story, 10, "the timeout")


async def test_a_hold_longer_than_resolve_timeout_is_kept(
    process: StartProcess, tmp_path: Path, inbox: Inbox
) -> None:
    server = alertmanager.Alertmanager(process, tmp_path, inbox, resolve_timeout="2s")
    agent = Agent(server.url)
    async with agent.running():
        await agent.fire()
        await page(inbox)
        await agent.improve()
        await asyncio.sleep(4)
        assert inbox.story == [PAGED]
        await agent.resolve()
        await one_page_one_resolve(inbox, agent)


async def test_only_its_severities_are_said(server: alertmanager.Alertmanager) -> None:
    agent = Agent(server.url)
    agent.notifier.severities = ("ticket",)
    agent.alert = replace(FIRING, last_broken=time.time() + 1)
    async with agent.running():
        await agent.rounds_pass()
    assert server.alerts() == []


async def test_an_alertmanager_that_is_away_is_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent(f"http://127.0.0.1:{free_port()}", replace(FIRING, last_broken=time.time() + 1))
    async with agent.running():
        await agent.rounds_pass(3, "failed")
    assert agent.rounds("done") == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "am: can't be told again what fires" in caplog.text


async def test_what_is_no_alertmanager_is_a_failure(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent(inbox.url, replace(FIRING, last_broken=time.time() + 1))
    async with agent.running():
        await agent.rounds_pass(1, "failed")
    assert "answered 501" in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_answer_without_end_is_given_up(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("monitor.notify.alertmanager_api.LARGEST_ANSWER", 100)
    agent.alert = replace(FIRING, last_broken=time.time() + 1)
    await agent.rounds_pass(1, "failed")
    assert "answered more than 100 bytes" in caplog.text


async def test_what_is_over_is_forgotten(agent: Agent, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBER_ENDED", 2 * LEAD)
    for _ in range(3):
        await agent.fire()
        await agent.resolve()
    await eventually(lambda: not agent.notifier._ended and not agent.notifier._told, 10, "nothing is kept")


def test_the_agent_killed_while_an_alert_fires_goes_on(
    process: StartProcess, tmp_path: Path, inbox: Inbox, server: alertmanager.Alertmanager
) -> None:
    on_call = {"kind": "alertmanager", "url": server.url, "resend": "500ms"}
    nobody = f"http://127.0.0.1:{free_port()}"
    running = RunningAgent(process, tmp_path, inbox, {"api": nobody}, on_call=on_call)
    wait_until(lambda: inbox.holds("firing", "target-down"), 30, "the page")
    running.process.send(signal.SIGKILL)
    running.process.wait()
    [known] = (each for each in server.alerts() if each["labels"]["alertname"] == "target-down")
    running.start()
    wait_until(lambda: said_again(server, known), 30, "the alert is said again")
    assert [each for each in inbox.story if each[1] == "target-down"] == [("firing", "target-down")]


def said_again(server: alertmanager.Alertmanager, known: dict[str, Any]) -> bool:
    return any(
        each["fingerprint"] == known["fingerprint"] and each["updatedAt"] > known["updatedAt"]
        for each in server.alerts()
    )


def rules() -> Iterator[dict[str, Any]]:
    names = {NO_DATA, *(objective.name for objective in OBJECTIVES)}
    for group in RULES["groups"]:
        yield from (rule for rule in group["rules"] if rule.get("alert") in names)


def test_its_alerts_are_those_of_the_rules(server: alertmanager.Alertmanager) -> None:
    """Prometheus adds alertname and, from the expression, target."""
    for rule in rules():
        labels = {"alertname": rule["alert"], "target": "api", **rule["labels"]}
        server.post(labels, endsAt=after(60))
    theirs = {each["fingerprint"] for each in server.alerts()}
    assert len(theirs) == len(list(rules()))
    for rule in rules():
        key = Key(rule["alert"], "api", rule["labels"]["check"])
        ours = alert_body(replace(FIRING, key=key, severity=rule["labels"]["severity"]), OBJECTIVES)
        assert set(rule["annotations"]) <= set(ours["annotations"])
        assert rule["annotations"]["dashboard"] == ours["annotations"]["dashboard"]
        server.post(ours["labels"], annotations=ours["annotations"], endsAt=after(60))
    assert {each["fingerprint"] for each in server.alerts()} == theirs
    assert all(each["annotations"]["reason"] for each in server.alerts())

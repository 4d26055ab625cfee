"""Whoever dies in mid-alert: nothing pages twice, no page is lost once all are back, resolves arrive.

docs/failure-modes.md is what was seen here; with `-s` the times are printed. `make nightly` runs it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest

from tests.servers import answers, wait_until
from tests.stack.faults import THINK, USERS, lost_table, token, users
from tests.stack.running import HURRY, RunningStack, run_stack

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
FAULT = "error-rate"
READY = {"prometheus": "/-/ready", "alertmanager": "/-/ready", "agent": "/-/healthy"}
WITHIN = 120
ENDS_WITHIN = 240
"""Seconds. What the agent alone sees end has two minutes of patience with Prometheus in it."""
AWAY = 15
"""Seconds: longer than Prometheus' word lasts in this hurry, four times its interval."""
WRITTEN_DOWN = 12
"""Seconds after which Alertmanager has on disk whom it has told: --data.maintenance-interval and a little."""
QUIET = 15
"""Seconds in which a second page would come: Alertmanager's groups are looked at at each interval."""


@dataclass
class Scene:
    """One stack with a fault that can be broken and healed, and the clock of the story."""

    stack: RunningStack
    bearer: str
    since: int = 0
    began: float = field(default_factory=time.monotonic)
    broken: ExitStack = field(default_factory=ExitStack)

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.1f} s  {what}")

    def begin(self) -> None:
        self.wait(lambda: not self.active(), ENDS_WITHIN, "nothing fires")
        self.since, self.began = len(self.stack.notifications()), time.monotonic()
        self.say("nothing fires: the story begins")

    def break_it(self) -> None:
        self.broken.enter_context(lost_table(self.stack, self.bearer))
        self.say("broken")

    def heal(self) -> None:
        self.broken.close()
        self.say("healed")

    def kill(self, name: str) -> None:
        pid = self.stack.pid(name)
        os.killpg(pid, signal.SIGKILL)
        lost = f"The {name} ended unexpectedly"
        before = self.stack.process.output.count(lost)
        wait_until(lambda: self.stack.process.output.count(lost) > before, 10, lost)
        self.say(f"killed {name}")

    def revive(self, name: str) -> None:
        before = self.stack.pid(name)
        self.stack.process.popen.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.stack.pid(name) != before, 20, f"{name} is started again")
        wait_until(lambda: answers(self.stack.url(name) + READY[name]), 60, f"{name} is ready")
        self.say(f"{name} is back")

    def pages(self, alert: str = FAULT) -> list[str]:
        notices = (notice for each in self.stack.notifications()[self.since :] for notice in each)
        return [each["status"] for each in notices if (each["alert"], each["severity"]) == (alert, "page")]

    def active(self) -> list[str]:
        """Pages and tickets, as Alertmanager has them."""
        alerts = self.stack.get("alertmanager", "/api/v2/alerts")
        loud = (each["labels"] for each in alerts if each["labels"].get("severity") in ("page", "ticket"))
        return sorted(labels["alertname"] for labels in loud)

    def by_prometheus(self) -> bool:
        """Not the series ALERTS: killed, Prometheus leaves it firing for five minutes."""
        alerts = self.stack.get("prometheus", "/api/v1/alerts")["data"]["alerts"]
        return any(each["labels"]["alertname"] == FAULT and each["state"] == "firing" for each in alerts)

    def by_agent(self) -> bool:
        alerts = self.stack.get("agent", "/api/v1/status")["alerts"]
        return any(each["name"] == FAULT and each["state"] == "firing" for each in alerts)

    def seen(self, but: str, *, firing: bool) -> None:
        """By all watchers that live."""
        watchers: dict[str, Callable[[], bool]] = {"prometheus": self.by_prometheus, "agent": self.by_agent}
        for name in watchers.keys() - {but}:
            self.wait(partial(_says, watchers[name], firing), WITHIN, f"{name} sees {firing=}")

    def paged(self) -> None:
        self.wait(lambda: self.pages() == ["firing"], WITHIN, "the page")

    def resolved(self) -> None:
        self.wait(lambda: self.pages() == ["firing", "resolved"], ENDS_WITHIN, "the resolve")

    def wait(self, condition: Callable[[], bool], within: float, awaited: str) -> None:
        wait_until(lambda: _quietly(condition), within, f"{awaited}; told {self.pages()}", every=0.3)
        self.say(awaited)

    def nothing_more(self) -> None:
        """Only time can show that."""
        before = self.pages()
        time.sleep(QUIET)
        assert self.pages() == before


def _says(sees: Callable[[], bool], expected: bool) -> bool:
    return sees() == expected


def _quietly(condition: Callable[[], bool]) -> bool:
    """A server that has just been started may refuse."""
    try:
        return condition()
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with run_stack(tmp_path_factory.mktemp("stack"), *HURRY) as stack:
        made = Scene(stack, token(stack))
        with users(stack, made.bearer, USERS, THINK), made.broken:
            judged = f'objective:judged{{objective="{FAULT}"}}'
            made.wait(lambda: bool(stack.query(judged)), WITHIN, "Prometheus judges")
            yield made


@pytest.mark.parametrize("name", READY)
def test_killed_while_it_fires_and_back_while_it_fires(name: str, scene: Scene) -> None:
    scene.begin()
    scene.break_it()
    scene.seen(but="", firing=True)
    scene.paged()
    time.sleep(WRITTEN_DOWN)
    scene.kill(name)
    time.sleep(AWAY)
    scene.revive(name)
    scene.wait(lambda: FAULT in scene.active(), WITHIN, "Alertmanager has it")
    scene.nothing_more()
    assert scene.pages() == ["firing"]
    scene.heal()
    scene.resolved()
    scene.nothing_more()
    assert scene.pages() == ["firing", "resolved"]


@pytest.mark.parametrize("name", READY)
def test_what_begins_while_it_is_away_pages_and_what_ends_while_it_is_away_resolves(
    name: str, scene: Scene
) -> None:
    scene.begin()
    scene.kill(name)
    scene.break_it()
    scene.seen(but=name, firing=True)
    if name != "alertmanager":
        scene.paged()
    scene.revive(name)
    scene.paged()
    scene.seen(but="", firing=True)
    time.sleep(WRITTEN_DOWN)
    scene.kill(name)
    scene.heal()
    scene.seen(but=name, firing=False)
    if name != "alertmanager":
        scene.resolved()
    scene.revive(name)
    scene.resolved()
    scene.nothing_more()
    assert scene.pages() == ["firing", "resolved"]

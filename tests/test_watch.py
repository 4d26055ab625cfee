"""The agent against the real API, both as processes, with faults that come from outside."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartProcess
from tests.hostile import hostile_server
from tests.inbox import Inbox, run_inbox
from tests.running import Agent, Api
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.slow

QUIET = 4.0
"""Seconds in which nothing more may arrive; no-data notices would be due after 5."""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


@pytest.fixture
def api(process: StartProcess, tmp_path: Path) -> Api:
    return Api(process, tmp_path)


@pytest.fixture
def agent(process: StartProcess, tmp_path: Path, inbox: Inbox, api: Api) -> Agent:
    agent = Agent(process, tmp_path, inbox, {"api": api.url})
    wait_until(lambda: agent.verdicts().get("target-down") == "OK", 20, "the agent sees a healthy API")
    return agent


def quiet(seconds: float = QUIET) -> None:
    time.sleep(seconds)


def test_a_killed_api_pages_once_and_resolves_once(api: Api, agent: Agent, inbox: Inbox) -> None:
    api.process.send(signal.SIGKILL)
    wait_until(lambda: inbox.holds("firing", "target-down"), 20, "the page")
    quiet()
    assert inbox.story == [("firing", "target-down")]
    page = inbox.notices[0]
    assert page.severity == "page"
    assert page.annotations["reason"].startswith("connect: ")
    assert page.annotations["threshold"] == "at least 3"
    assert page.annotations["runbook"] == "docs/runbooks/target-down.md"
    api.start()
    wait_until(lambda: inbox.holds("resolved", "target-down"), 20, "the resolve")
    quiet()
    assert inbox.story == [("firing", "target-down"), ("resolved", "target-down")]
    assert len({notice.fingerprint for notice in inbox.notices}) == 1


def test_a_hung_api_pages_once_with_reason_timeout(api: Api, agent: Agent, inbox: Inbox) -> None:
    api.process.send(signal.SIGSTOP)
    wait_until(lambda: inbox.holds("firing", "target-down"), 20, "the page")
    assert inbox.notices[0].annotations["reason"].startswith("timeout: ")
    api.process.send(signal.SIGCONT)
    wait_until(lambda: inbox.holds("resolved", "target-down"), 20, "the resolve")
    quiet()
    assert inbox.story == [("firing", "target-down"), ("resolved", "target-down")]


@pytest.mark.nightly
def test_the_agent_killed_while_an_alert_fires_does_not_page_again(
    api: Api, agent: Agent, inbox: Inbox
) -> None:
    api.process.send(signal.SIGKILL)
    wait_until(lambda: inbox.holds("firing", "target-down"), 20, "the page")
    wait_until(agent.written_down, 20, "the agent knows that it arrived")
    agent.process.send(signal.SIGKILL)
    agent.process.wait()
    agent.start()
    quiet()
    assert inbox.story == [("firing", "target-down")]
    api.start()
    wait_until(lambda: inbox.holds("resolved", "target-down"), 20, "the resolve")
    assert len({notice.fingerprint for notice in inbox.notices}) == 1


def test_without_metrics_the_verdicts_are_unknown_and_one_notice_says_so(
    api: Api, agent: Agent, inbox: Inbox
) -> None:
    fed_by_metrics = ("latency-p95", "error-rate", "pool-usage", "memory-usage", "failed-logins")
    wait_until(lambda: agent.verdicts()["pool-usage"] == "OK", 20, "the pool is judged")
    api.no_metrics.touch()
    wait_until(lambda: inbox.holds("firing", "no-data"), 40, "the no-data notice")
    verdicts = agent.verdicts()
    assert {verdicts[name] for name in fed_by_metrics} == {"UNKNOWN"}
    assert verdicts["target-down"] == "OK"
    quiet()
    assert inbox.story == [("firing", "no-data")]
    assert inbox.notices[0].annotations["reason"].startswith("status: ")
    assert inbox.notices[0].severity == "ticket"
    api.no_metrics.unlink()
    wait_until(lambda: inbox.holds("resolved", "no-data"), 20, "the resolve")
    assert inbox.story == [("firing", "no-data"), ("resolved", "no-data")]


@pytest.mark.parametrize("failures", [pytest.param(1, marks=pytest.mark.nightly), 2])
def test_one_or_two_failed_probes_page_nobody(
    failures: int, process: StartProcess, tmp_path: Path, inbox: Inbox
) -> None:
    with hostile_server() as server:
        agent = Agent(process, tmp_path, inbox, {"api": server.url("/good")})
        wait_until(lambda: agent.verdicts().get("target-down") == "OK", 20, "the agent sees a healthy API")
        server.fail_next(failures)
        wait_until(lambda: server.left_to_fail == 0, 20, "the probes that fail")
        quiet(2)
        failed = f'probe_results_total{{check="health",reason="status",target="api"}} {float(failures)}'
        assert failed in agent.metrics()
    assert inbox.story == []


def test_hostile_targets_cost_neither_memory_nor_the_next_probe(
    process: StartProcess, tmp_path: Path, inbox: Inbox
) -> None:
    reasons = {
        "endless-body": "too_large",
        "endless-redirect": "redirect",
        "gzip-bomb": "too_large",
        "garbage": "body",
        "hang": "timeout",
        "drip": "timeout",
    }
    with hostile_server() as server:
        targets = {name: server.url(f"/{name}") for name in ("good", *reasons)}
        agent = Agent(process, tmp_path, inbox, targets, interval="1s", shorten=30)
        wait_until(lambda: len(inbox.notices) >= 5, 60, "the pages of those that fail their health check")
        before = probes_of(agent, "good")
        started = time.monotonic()
        quiet(4)
        passed = time.monotonic() - started
        assert probes_of(agent, "good") - before >= passed - 1.5
        seen = {
            each["name"]: {check["reason"] for check in each["checks"]} for each in agent.status()["targets"]
        }
        memory = psutil.Process(agent.process.pid).memory_info().rss
    for name, reason in reasons.items():
        assert reason in seen[name], (name, seen[name])
    assert seen["good"] == {"ok"}
    assert memory < 200e6


def probes_of(agent: Agent, target: str) -> float:
    line = f'probe_results_total{{check="health",reason="ok",target="{target}"}} '
    return next(
        float(each.removeprefix(line)) for each in agent.metrics().splitlines() if each.startswith(line)
    )


def test_a_locked_store_delays_the_page_and_is_no_fault_of_the_target(
    api: Api, agent: Agent, inbox: Inbox, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "agent.db", isolation_level=None)) as locker:
        locker.execute("BEGIN IMMEDIATE")
        before = probes_of(agent, "api")
        quiet()
        assert probes_of(agent, "api") - before >= QUIET / 0.5 - 3
        api.process.send(signal.SIGKILL)
        wait_until(lambda: agent.verdicts()["target-down"] == "BREACH", 20, "the verdict")
        assert inbox.story == []
        locker.execute("ROLLBACK")
    wait_until(lambda: inbox.story, 20, "the page")
    assert inbox.story == [("firing", "target-down")]


def test_a_second_agent_on_the_same_port_or_the_same_store_is_refused(
    agent: Agent, process: StartProcess
) -> None:
    second = process(sys.executable, "-m", "monitor", "run", "--config", agent.config)
    assert second.wait() == 2
    assert f"can't listen on 127.0.0.1:{agent.port}: Address already in use" in second.output
    other = agent.config.with_name("other.yml")
    other.write_text(agent.config.read_text().replace(str(agent.port), str(free_port())))
    third = process(sys.executable, "-m", "monitor", "run", "--config", other)
    assert third.wait(20) == 2
    assert "other.yml: database: another agent uses it; end that one" in third.output
    assert "Traceback" not in second.output + third.output


def test_its_own_metrics_please_promtool_and_it_stops_cleanly(agent: Agent, promtool: Path) -> None:
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=agent.metrics(),
        text=True,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    agent.process.popen.send_signal(signal.SIGTERM)
    assert agent.process.wait(10) == 0
    assert "Traceback" not in agent.process.output

"""The agent as a process: its file is changed while it runs, twice, and SIGHUP makes it look at once."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import StartProcess
from tests.hostile import hostile_server
from tests.inbox import Inbox, run_inbox
from tests.running import Agent
from tests.servers import free_port, wait_until


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


def health(agent: Agent) -> Any:
    try:
        with urllib.request.urlopen(agent.url + "/-/healthy", timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def watches(agent: Agent, name: str) -> bool:
    return any(each["name"] == name for each in agent.status()["targets"])


def test_a_bad_change_a_good_one_and_sighup(process: StartProcess, tmp_path: Path, inbox: Inbox) -> None:
    with hostile_server() as server:
        targets = {"good": server.url("/good"), "gone": f"http://127.0.0.1:{free_port()}"}
        agent = Agent(process, tmp_path, inbox, targets)
        wait_until(lambda: inbox.holds("firing", "target-down"), 30, "the page")
        written = json.loads(agent.config.read_text())

        agent.config.write_text(json.dumps(written | {"intervall": "1s"}))
        wait_until(lambda: health(agent)["notes"], 15, "the mistake was seen")
        assert "monitor.yml:1: intervall: unknown key" in health(agent)["notes"][0]
        assert health(agent)["healthy"] is True
        assert "monitor_config_last_reload_successful 0.0" in agent.metrics()
        assert {each["name"] for each in agent.status()["targets"]} == {"good", "gone"}

        written["targets"] = [each for each in written["targets"] if each["name"] == "good"]
        agent.config.write_text(json.dumps(written))
        wait_until(lambda: inbox.holds("resolved", "target-down"), 15, "the target's end")
        end = inbox.notices[inbox.story.index(("resolved", "target-down"))]
        assert end.annotations["reason"] == "it is no longer watched"
        assert health(agent) == {"healthy": True, "faults": [], "notes": []}
        assert 'target="gone"' not in agent.metrics()

        before = psutil.Process(agent.process.pid).num_fds()
        for number in range(5):
            named = {**written["targets"][0], "name": f"asked-for-{number}"}
            agent.config.write_text(json.dumps({**written, "targets": [*written["targets"], named]}))
            agent.process.popen.send_signal(signal.SIGHUP)
            wait_until(partial(watches, agent, named["name"]), 15, named["name"])
        assert psutil.Process(agent.process.pid).num_fds() <= before + 3
        told = [status for status, alert in inbox.story if alert == "target-down"]
        assert told == ["firing", "resolved"]
        agent.process.popen.send_signal(signal.SIGTERM)
        assert agent.process.wait(10) == 0
        assert "Traceback" not in agent.process.output

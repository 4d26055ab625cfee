"""`paciolus-monitor inbox` as its users meet it: as a process that Alertmanager and a browser talk to."""

from __future__ import annotations

import signal
import sys
from typing import Any

import httpx
import pytest

from monitor.inbox import MOST_BYTES, MOST_KEPT, Inbox
from monitor.notify.facts import Facts
from monitor.notify.message import page_body
from monitor.receiver import LARGEST_BODY
from tests.conftest import StartProcess, StartServer
from tests.monitor.making import FIRING, RESOLVED
from tests.servers import Process, free_port, wait_until

ALERTMANAGER = """
route: {{receiver: inbox, group_by: [alertname, target], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: inbox, webhook_configs: [{{url: "{url}/alerts", send_resolved: true}}]}}]
"""
MARKUP = "<script>alert(1)</script>"


class Running:
    def __init__(self, start: StartProcess, *flags: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: Process = start(
            *(sys.executable, "-m", "monitor", "inbox", f"--listen=127.0.0.1:{self.port}"), *flags
        )
        self.process.wait_for(f"{self.url}/-/healthy")

    def post(self, body: Any) -> int:
        return httpx.post(f"{self.url}/alerts", json=body, trust_env=False).status_code

    def kept(self) -> Any:
        return httpx.get(f"{self.url}/notifications", trust_env=False).json()

    def page(self) -> str:
        return httpx.get(self.url, trust_env=False).text


@pytest.fixture
def inbox(process: StartProcess) -> Running:
    return Running(process)


def test_alertmanager_delivers_and_the_page_shows_it(inbox: Running, alertmanager: StartServer) -> None:
    url = alertmanager(ALERTMANAGER.format(url=inbox.url))
    labels = {"alertname": "error-rate", "target": "api", "check": "metrics", "severity": "page"}
    said = {"summary": f"api: {MARKUP}", "runbook": "docs/runbooks/error-rate.md"}
    httpx.post(
        f"{url}/api/v2/alerts", json=[{"labels": labels, "annotations": said}], trust_env=False
    ).raise_for_status()
    [[notice]] = wait_until(lambda: inbox.kept()["notifications"], 10, "the notification")
    shown = {name: notice[name] for name in ("alert", "target", "check", "severity", "runbook", "status")}
    assert shown == {
        "alert": "error-rate",
        "target": "api",
        "check": "metrics",
        "severity": "page",
        "runbook": "docs/runbooks/error-rate.md",
        "status": "firing",
    }
    assert "docs/runbooks/error-rate.md" in inbox.page()
    assert MARKUP not in inbox.page()
    assert "firing page error-rate api:" in inbox.process.output


def test_it_takes_what_the_agent_sends(inbox: Running) -> None:
    for alert in (FIRING, RESOLVED):
        assert inbox.post(page_body("inbox", None, alert, "key", Facts(at=400.0))) == 204
    assert [notice["status"] for [notice] in inbox.kept()["notifications"]] == ["firing", "resolved"]


@pytest.mark.parametrize("body", [{}, [], {"version": "3", "alerts": []}, "alerts"])
def test_it_refuses_anything_else(body: Any, inbox: Running) -> None:
    assert inbox.post(body) == 400
    assert inbox.kept()["count"] == 0


def test_it_refuses_what_is_too_large(inbox: Running) -> None:
    assert inbox.post({"version": "4", "alerts": [], "more": "x" * LARGEST_BODY}) == 413


def test_it_keeps_a_bounded_number() -> None:
    inbox = Inbox()
    for _ in range(MOST_KEPT + 1):
        inbox.take([], 1)
    assert (inbox.count, len(inbox.kept)) == (MOST_KEPT + 1, MOST_KEPT)
    inbox.take([], MOST_BYTES)
    assert len(inbox.kept) == 1


def test_sigterm_ends_it(inbox: Running) -> None:
    inbox.process.popen.send_signal(signal.SIGTERM)
    assert inbox.process.wait(5) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("wrong", ["9099", "127.0.0.1:99999", "192.0.2.1:80"])
def test_an_address_that_cannot_be_had_is_said(wrong: str, process: StartProcess) -> None:
    started = process(sys.executable, "-m", "monitor", "inbox", f"--listen={wrong}")
    assert started.wait(20) == 2
    assert "--listen" in started.output
    assert wrong in started.output
    assert "Traceback" not in started.output

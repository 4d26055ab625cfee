"""The agent among the servers that people already run: Alertmanager's receivers, Prometheus, a browser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting import Alert
from monitor.notify.facts import Facts
from monitor.notify.message import page_json
from tests.conftest import StartServer
from tests.inbox import Inbox, run_inbox
from tests.monitor.making import FIRING, RESOLVED
from tests.servers import wait_until

HOUSE = Path(__file__).parent.parent
ALERTMANAGER = """
route: {{receiver: inbox, group_by: [alertname, target], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: inbox, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


def run(*argv: str | Path) -> str:
    """What the program says; AssertionError when it isn't content."""
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def shape(body: Any) -> Any:
    """Keys and types. What a map of labels or annotations holds is a matter of each alert."""
    if isinstance(body, list):
        return [shape(each) for each in body]
    if not isinstance(body, dict):
        return type(body).__name__
    return {
        key: "map" if key.lower().endswith(("labels", "annotations")) else shape(value)
        for key, value in body.items()
    }


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


def test_what_takes_alertmanagers_webhook_takes_ours(
    alertmanager: StartServer, amtool: Path, inbox: Inbox, tmp_path: Path
) -> None:
    url = alertmanager(ALERTMANAGER.format(url=inbox.url))
    run(amtool, "check-config", tmp_path / "alertmanager.yml")
    add = (amtool, "--alertmanager.url", url, "alert", "add", "alertname=error-rate", "target=api")
    run(*add, "severity=page", "--annotation=summary=made up")
    wait_until(lambda: inbox.holds("firing", "error-rate"), 10, "the alert")
    run(*add, "severity=page", "--annotation=summary=made up", f"--end={datetime.now(UTC).isoformat()}")
    wait_until(lambda: inbox.holds("resolved", "error-rate"), 10, "the resolve")
    for alert in (FIRING, RESOLVED):
        ours, theirs = sent(alert), next(b for b in inbox.bodies if b["status"] == sent(alert)["status"])
        assert shape(ours) == shape(theirs)
        assert ours["version"] == theirs["version"]
        datetime.fromisoformat(ours["alerts"][0]["startsAt"])
    still = next(each for each in inbox.bodies if each["status"] == "firing")
    assert still["alerts"][0]["endsAt"] == sent(FIRING)["alerts"][0]["endsAt"]


def sent(alert: Alert) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(page_json("inbox", None, alert, "key", Facts(at=alert.last_broken)))
    return body


def test_the_shipped_prometheus_config_is_right(promtool: Path) -> None:
    run(promtool, "check", "config", HOUSE / "prometheus.yml")


def test_the_demos_picture_needs_nothing_from_elsewhere(chromium: Path, tmp_path: Path) -> None:
    picture = HOUSE / "docs" / "pictures" / "demo.svg"
    addresses = re.findall(r"https?://[^\s\"'<>)]*", picture.read_text())
    assert {each for each in addresses if not each.startswith("http://www.w3.org/")} == set()
    alone = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    headless = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
    drawn = tmp_path / "demo.png"
    run(
        *(chromium, *headless, *alone, nowhere, f"--user-data-dir={tmp_path / 'profile'}"),
        *("--window-size=1200,800", f"--screenshot={drawn}", picture.as_uri()),
    )
    assert drawn.stat().st_size > 5_000

"""alerts/alertmanager.yml: who is told of what, what keeps quiet, and that one fault is one page."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.receiving import Receiver, run_receiver
from tests.alerts.starting import ALERTS, Started, alert, as_grafana, ended
from tests.conftest import StartProcess
from tests.servers import wait_until

CONFIG = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
RECEIVERS = {"page": "page", "ticket": "ticket", "info": "info", "none": "dead-mans-switch"}
WATCHDOG = alert("Watchdog", "none", "watchdog", "monitor")


def alerting_rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((ALERTS / "rules.yml").read_text())["groups"]:
        yield from (rule for rule in group["rules"] if "alert" in rule)


RULES = {f"{rule['alert']}-{rule['labels']['severity']}": rule for rule in alerting_rules()}


def routed(amtool: Path, receiver: str, **labels: str) -> subprocess.CompletedProcess[bytes]:
    where = f"--config.file={ALERTS / 'alertmanager.yml'}"
    said = [f"{name}={value}" for name, value in labels.items()]
    command = [str(amtool), "config", "routes", "test", where, f"--verify.receivers={receiver}", *said]
    return subprocess.run(command, capture_output=True, timeout=30, check=False)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_alert_goes_where_its_severity_says(rule: dict[str, Any], amtool: Path) -> None:
    labels = {"target": "api", **rule["labels"], "alertname": rule["alert"]}
    receiver = RECEIVERS[labels["severity"]]
    assert routed(amtool, receiver, **labels).returncode == 0
    assert routed(amtool, receiver, **labels, grafana_folder="Paciolus").returncode == 0


def test_what_nobody_planned_for_is_told_and_wakes_nobody(amtool: Path) -> None:
    assert routed(amtool, "ticket", alertname="Unheard", severity="critical").returncode == 0
    assert routed(amtool, "ticket", alertname="Unheard").returncode == 0
    assert routed(amtool, "page", alertname="Unheard").returncode == 1


def test_every_alert_that_it_names_exists() -> None:
    known = {rule["alert"] for rule in alerting_rules()} | {"prometheus-down"}
    rules = CONFIG["inhibit_rules"]
    matchers = [each for rule in rules for each in rule["source_matchers"] + rule["target_matchers"]]
    named = [re.search(r'^alertname[!=~]+"(.*)"$', matcher) for matcher in matchers]
    assert {name for each in named if each for name in each[1].split("|")} <= known


def test_times_fit_together() -> None:
    switch, paging, _info = CONFIG["route"]["routes"]
    assert (switch["group_interval"], switch["repeat_interval"]) == ("1m", "50s")
    assert paging["group_wait"] == "5s"


@pytest.fixture
def alertmanager(process: StartProcess, tmp_path: Path) -> Started:
    return Started(process, tmp_path, {})


DOWN = alert("target-down", check="health")
SLOW = alert("latency-p95")
BURN_1H, BURN_6H = (alert(f"availability-burn-{row}", check="health") for row in ("1h", "6h"))
BURN_1D, BURN_3D = (alert(f"availability-burn-{row}", "ticket", "health") for row in ("1d", "3d"))
AVAILABILITY = alert("availability", "ticket", "health")
HEALTH_SLOW = alert("health-latency", "ticket", "health")
ADVICE = alert("scale-out-latency", "info")
CPU, AUTOSCALE = alert("scale-out-cpu", "info"), alert("autoscale-cpu", "info")
NO_METRICS = alert("no-data", "ticket")
NO_HEALTH = alert("no-data", "page", "health")
ABSENT = alert("target-absent", check="scrape")
MONITOR_DOWN = alert("monitor-down", check="scrape", target="monitor")
MONITOR_STUCK = alert("monitor-stuck", check="scrape", target="monitor")
PROMETHEUS_DOWN = alert("prometheus-down", check="scrape", target="prometheus")
OTHER = alert("error-rate", target="web")
CANARY = (alert("target-down", target="canary"), alert("error-rate", target="canary"))
"""Posted last: once the second is silenced, so is everything that ever will be."""
OF_NOBODY = {"labels": {"alertname": "Bare", "severity": "page"}}
OF_NOBODY_TOO = {"labels": {"alertname": "Barer", "severity": "info"}}

CASES: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    # what fires, what of it keeps quiet, what of it is told
    "down silences the target's other alerts": (
        [DOWN],
        [SLOW, NO_METRICS, NO_HEALTH, BURN_1H, HEALTH_SLOW, ADVICE],
        [DOWN, ABSENT, OTHER],
    ),
    "a page silences its check's tickets, and advice": (
        [SLOW],
        [alert("made-up", "ticket"), ADVICE, CPU],
        [SLOW, HEALTH_SLOW, NO_METRICS, alert("pool-usage"), OTHER],
    ),
    "a page silences no other target's advice": ([OTHER], [], [OTHER, ADVICE, HEALTH_SLOW]),
    "a ticket silences its check's advice": ([NO_METRICS], [ADVICE], [NO_METRICS, HEALTH_SLOW]),
    "a ticket silences no other check's advice": ([HEALTH_SLOW], [], [HEALTH_SLOW, ADVICE]),
    "the fastest burn speaks for all": ([BURN_1H], [BURN_6H, BURN_1D, BURN_3D, AVAILABILITY], [BURN_1H]),
    "the slower page for the tickets": ([BURN_6H], [BURN_1D, BURN_3D, AVAILABILITY], [BURN_6H]),
    "the day for the rest": ([BURN_1D], [BURN_3D, AVAILABILITY], [BURN_1D, HEALTH_SLOW]),
    "three days for the month": ([BURN_3D], [AVAILABILITY], [BURN_3D, HEALTH_SLOW]),
    "one CPU, one advice": ([AUTOSCALE], [CPU], [AUTOSCALE, ADVICE]),
    "no agent, no health data of anything": ([MONITOR_DOWN], [NO_HEALTH], [MONITOR_DOWN, NO_METRICS, SLOW]),
    "nor with an agent that is stuck": ([MONITOR_STUCK], [NO_HEALTH], [MONITOR_STUCK, NO_METRICS]),
    "no scraping, no metrics": ([ABSENT], [NO_METRICS], [ABSENT, NO_HEALTH, SLOW]),
    "what has no target silences nothing": ([OF_NOBODY], [], [OF_NOBODY, OF_NOBODY_TOO]),
    "nothing silences the Watchdog": (
        [alert("target-down", target="monitor")],
        [MONITOR_STUCK],
        [WATCHDOG, alert("target-down", target="monitor")],
    ),
    "Grafana's copy gives way": ([SLOW], [as_grafana(SLOW)], [SLOW, as_grafana(alert("error-rate"))]),
    "so does a copy of another folder": ([SLOW], [as_grafana(SLOW, "Ours")], [SLOW]),
    "not to another target's": ([OTHER], [], [OTHER, as_grafana(alert("error-rate"))]),
    "nor to another copy": ([as_grafana(SLOW)], [], [as_grafana(SLOW)]),
    "copies wait for the Watchdog to stop": (
        [WATCHDOG],
        [as_grafana(SLOW), as_grafana(PROMETHEUS_DOWN)],
        [WATCHDOG, as_grafana(alert("made-in-grafana"), "Ours"), alert("error-rate")],
    ),
    "without Prometheus copies are of the past": (
        [as_grafana(PROMETHEUS_DOWN)],
        [as_grafana(SLOW)],
        [as_grafana(PROMETHEUS_DOWN), alert("error-rate"), as_grafana(alert("made-in-grafana"), "Ours")],
    ),
    "a copy that is down silences like the first": ([as_grafana(DOWN)], [SLOW], [as_grafana(DOWN)]),
}


@pytest.mark.parametrize(("sources", "quiet", "told"), CASES.values(), ids=CASES)
def test_what_keeps_quiet(
    sources: list[Any], quiet: list[Any], told: list[Any], alertmanager: Started
) -> None:
    alertmanager.post(*sources, *quiet, *told, *CANARY)
    wanted = {key(each): "suppressed" for each in (*quiet, CANARY[1])}
    wanted |= {key(each): "active" for each in (*told, CANARY[0])}
    wait_until(lambda: alertmanager.standing() == wanted, 10, f"{wanted}; {alertmanager.standing()}")


def key(posted: Any) -> tuple[str, str, str]:
    labels = posted["labels"]
    copy = "+" if "grafana_folder" in labels else ""
    return labels["alertname"] + copy, labels.get("target", ""), labels.get("check", "")


class Stack:
    """An Alertmanager with an inbox at /inbox and a switch at /switch, whose calls tell how time goes by."""

    def __init__(self, start: StartProcess, folder: Path, receiver: Receiver) -> None:
        urls = {"INBOX_URL": f"{receiver.url}/inbox", "DEAD_MANS_SWITCH_URL": f"{receiver.url}/switch"}
        self.alertmanager = Started(start, folder, urls)
        self.post = self.alertmanager.post
        self.receiver = receiver

    def told(self) -> list[str]:
        """The state of each notification to people, oldest first."""
        return [body["status"] for body in self.receiver.at("/inbox")]

    def rounds(self, count: int = 3) -> None:
        """Until every group has been looked at so many times more; about a second each."""
        before = len(self.receiver.at("/switch"))
        wait_until(lambda: len(self.receiver.at("/switch")) >= before + count, 20, "calls of the switch")


@pytest.fixture
def stack(process: StartProcess, tmp_path: Path) -> Iterator[Stack]:
    with run_receiver() as receiver:
        yield Stack(process, tmp_path, receiver)


def test_the_watchdog_reaches_the_switch_again_and_again_and_nobody_else(stack: Stack) -> None:
    stack.post(WATCHDOG)
    stack.rounds(4)
    assert {body["alerts"][0]["labels"]["alertname"] for body in stack.receiver.at("/switch")} == {"Watchdog"}
    assert stack.told() == []
    stack.post(ended(WATCHDOG))
    wait_until(lambda: stack.alertmanager.standing() == {}, 10, "the Watchdog ends")
    assert {body["status"] for body in stack.receiver.at("/switch")} == {"firing"}


def test_without_a_switch_the_watchdog_is_dropped_without_a_word(alertmanager: Started) -> None:
    alertmanager.post(WATCHDOG, alert("error-rate"))
    wait_until(lambda: len(alertmanager.standing()) == 2, 10)
    assert "level=error" not in alertmanager.process.output
    assert "level=warn" not in alertmanager.process.output


def test_one_fault_is_one_page_whoever_sees_it(stack: Stack) -> None:
    """Prometheus, the agent and Grafana post it, in the order in which they see it and see its end."""
    fault = alert("error-rate") | {"annotations": {"summary": "by Prometheus"}}
    agents = fault | {"annotations": {"summary": "by the agent", "reason": "71 of 1000"}}
    stack.post(WATCHDOG, fault)
    wait_until(lambda: stack.told() == ["firing"], 10, "the page")
    stack.post(agents)
    stack.post(as_grafana(fault))
    stack.rounds()
    stack.post(ended(fault))
    wait_until(lambda: stack.told() == ["firing", "resolved"], 10, "the end of it")
    stack.rounds()
    stack.post(ended(as_grafana(fault)))
    stack.rounds()
    assert stack.told() == ["firing", "resolved"]
    assert {len(body["alerts"]) for body in stack.receiver.at("/inbox")} == {1}


def test_grafana_pages_when_the_first_line_is_silent(stack: Stack) -> None:
    """Prometheus is dead, and its Watchdog has ended."""
    fault = alert("error-rate")
    stack.post(as_grafana(fault))
    wait_until(lambda: stack.told() == ["firing"], 10, "the page")
    (body,) = stack.receiver.at("/inbox")
    assert body["groupLabels"] == {"alertname": "error-rate", "target": "api"}


def test_one_page_where_grafana_has_to_wait_for_the_agent_alone(stack: Stack) -> None:
    """Prometheus is dead; the agent pages, and Grafana, three minutes later, has nothing to add."""
    fault, clock = alert("error-rate"), alert("Watchdog", "none", "watchdog", "clock", grafana_folder="Ours")
    stack.post(fault, clock)
    wait_until(lambda: stack.told() == ["firing"], 10, "the page")
    stack.post(as_grafana(fault))
    stack.rounds()
    assert stack.told() == ["firing"]


def test_what_a_page_silenced_is_told_when_the_page_is_over(stack: Stack) -> None:
    slow = alert("made-up", "ticket")
    stack.post(WATCHDOG, SLOW)
    wait_until(lambda: stack.told() == ["firing"], 10, "the page")
    stack.post(slow)
    stack.rounds()
    assert stack.told() == ["firing"]
    stack.post(ended(SLOW))
    wait_until(lambda: len(stack.told()) == 3, 10, "its end, and the ticket")
    bodies = stack.receiver.at("/inbox")[1:]
    said = {(body["groupLabels"]["alertname"], body["status"], body["receiver"]) for body in bodies}
    assert said == {("latency-p95", "resolved", "page"), ("made-up", "firing", "ticket")}, json.dumps(bodies)

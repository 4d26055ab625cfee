"""What the dashboards' own PromQL says, evaluated by promtool over series written by hand."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.objectives import Objective, load_objectives
from monitor.render import judged
from monitor.render.dashboard import DEPLOYED
from monitor.render.firing import firing
from tests.dashboards import HOUSE, filled_in

OBJECTIVES = load_objectives(HOUSE / "alerts" / "objectives.yml")
ALWAYS = "x60"
BY_RULES = {"evaluator": "Prometheus"}
BY_AGENT = {"evaluator": "agent"}


class Promtool:
    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._file = folder / "expressions.yml"

    def expect(
        self, series: dict[str, str], query: str, at: str, answers: dict[str, float] | list[dict[str, Any]]
    ) -> None:
        """At `at` the query answers exactly that: by series, each with its value."""
        if isinstance(answers, dict):
            answers = [{"labels": labels, "value": value} for labels, value in answers.items()]
        asked = {"expr": filled_in(query), "eval_time": at, "exp_samples": answers}
        inputs = [{"series": name, "values": values} for name, values in series.items()]
        test = {"interval": "1m", "input_series": inputs, "promql_expr_test": [asked]}
        self._file.write_text(yaml.safe_dump({"tests": [test]}))
        argv = [str(self._program), "test", "rules", str(self._file)]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def ask(promtool: Path, tmp_path: Path) -> Promtool:
    return Promtool(promtool, tmp_path)


def recorded(objective: Objective, **parts: float) -> dict[str, str]:
    """What the rules have, for a target that they know."""
    labels = f'objective="{objective.name}", check="{objective.check}", target="api"'
    series = {f"objective:{part}{{{labels}}}": f"{value}{ALWAYS}" for part, value in parts.items()}
    return series | {f'check:target{{check="{objective.check}", target="api"}}': f"1{ALWAYS}"}


def said(objective: Objective, verdict: str, value: float) -> dict[str, str]:
    """What the agent shows."""
    labels = f'job="monitor", instance="agent", target="api", objective="{objective.name}"'
    verdicts = {
        f'objective_verdict{{{labels}, verdict="{each}"}}': f"{int(each == verdict)}{ALWAYS}"
        for each in ("OK", "UNKNOWN", "WARN", "BREACH")
    }
    return verdicts | {f"objective_value{{{labels}}}": f"{value}{ALWAYS}"}


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("error-rate", 0.02, judged.OK),
        ("error-rate", 0.05, judged.OK),
        ("error-rate", 0.06, judged.BREACH),
        ("target-down", 2, judged.OK),
        ("target-down", 3, judged.BREACH),
        ("availability", 0.9995, judged.OK),
        ("availability", 0.998, judged.BREACH),
        ("scale-out-queue", 101, judged.WARN),
    ],
)
def test_a_verdict_of_the_rules(name: str, value: float, verdict: float, ask: Promtool) -> None:
    """Advice that should be taken is no breach."""
    objective = OBJECTIVES.by_name(name)
    series = recorded(objective, judged=value)
    ask.expect(series, judged.verdict(objective), "30m", {'{target="api"}': verdict})
    ask.expect(series, judged.known(objective), "30m", {'{target="api"}': value})


@pytest.mark.parametrize(("failed", "verdict"), [(3, judged.WARN), (4, judged.BREACH)])
def test_too_few_failures_are_a_warning(failed: int, verdict: float, ask: Promtool) -> None:
    objective = OBJECTIVES.by_name("availability-burn-1h")
    series = recorded(objective, judged=20, probes=120, good=120 - failed)
    ask.expect(series, judged.verdict(objective), "30m", {'{target="api"}': verdict})


def test_nothing_judged_is_unknown_whatever_the_agent_says(ask: Promtool) -> None:
    objective = OBJECTIVES.by_name("error-rate")
    series = recorded(objective, value=0.9) | said(objective, "BREACH", 0.9)
    ask.expect(series, judged.verdict(objective), "30m", {'{target="api"}': judged.UNKNOWN})
    ask.expect(series, judged.known(objective), "30m", {})


@pytest.mark.parametrize(
    ("name", "word", "verdict"),
    [
        ("error-rate", "OK", judged.OK),
        ("error-rate", "WARN", judged.WARN),
        ("error-rate", "BREACH", judged.BREACH),
        ("scale-out-queue", "BREACH", judged.WARN),
    ],
)
def test_without_rules_the_agents_word_counts(name: str, word: str, verdict: float, ask: Promtool) -> None:
    objective = OBJECTIVES.by_name(name)
    ask.expect(said(objective, word, 7), judged.verdict(objective), "30m", {'{target="api"}': verdict})
    ask.expect(said(objective, word, 7), judged.known(objective), "30m", {'{target="api"}': 7})


def test_an_unknown_of_the_agent_has_no_value(ask: Promtool) -> None:
    objective = OBJECTIVES.by_name("error-rate")
    series = said(objective, "UNKNOWN", 0.33)
    ask.expect(series, judged.verdict(objective), "30m", {'{target="api"}': judged.UNKNOWN})
    ask.expect(series, judged.known(objective), "30m", {})


def alert(name: str, severity: str, check: str = "metrics") -> dict[str, str]:
    labels = f'alertname="{name}", alertstate="firing", check="{check}", target="api", severity="{severity}"'
    return {f"ALERTS{{{labels}}}": f"1{ALWAYS}"}


def agents_alert(name: str, check: str = "metrics", state: str = "firing") -> dict[str, str]:
    labels = (
        f'alert="{name}", state="{state}", check="{check}", target="api", job="monitor", instance="agent"'
    )
    return {f"alert_state{{{labels}}}": f"1{ALWAYS}"}


def row(name: str, evaluator: dict[str, str], check: str = "metrics") -> str:
    return f'{{alertname="{name}", check="{check}", evaluator="{evaluator["evaluator"]}", target="api"}}'


def test_what_both_see_is_one_alert(ask: Promtool) -> None:
    series = alert("error-rate", "page") | agents_alert("error-rate") | agents_alert("pool-usage")
    rows = {row("error-rate", BY_RULES): 1.0, row("pool-usage", BY_AGENT): 1.0}
    ask.expect(series, firing(OBJECTIVES, "page"), "30m", rows)
    ask.expect(series, firing(OBJECTIVES, "info"), "30m", {})


def test_an_alert_of_the_agent_is_as_loud_as_its_objective(ask: Promtool) -> None:
    """Missing data is as loud as the loudest objective that its check feeds."""
    series = (
        agents_alert("scale-out-queue")
        | agents_alert("no-data", check="health")
        | agents_alert("latency-p95", state="pending")
    )
    ask.expect(series, firing(OBJECTIVES, "info"), "30m", {row("scale-out-queue", BY_AGENT): 1.0})
    ask.expect(series, firing(OBJECTIVES, "page"), "30m", {row("no-data", BY_AGENT, "health"): 1.0})


def test_the_watchdog_is_no_news(ask: Promtool) -> None:
    for severity in ("page", "ticket", "info"):
        ask.expect(alert("Watchdog", "none"), firing(OBJECTIVES, severity), "30m", {})


def version(name: str, values: str, instance: str = "api:8000") -> dict[str, str]:
    labels = f'version="{name}", target="api", job="api", instance="{instance}"'
    return {f"app_build_info{{{labels}}}": values}


@pytest.mark.parametrize(
    ("what", "series", "marked"),
    [
        ("a release", version("1", "1x29 stale") | version("2", "_x30 1x40"), {"2"}),
        ("a rollback", version("1", "1x9 stale _x19 1x40") | version("2", "_x9 1x20 stale"), {"1"}),
        ("a release after an outage", version("1", "1x19 stale") | version("2", "_x30 1x40"), {"2"}),
        ("a restart", version("1", "1x19 stale _x9 1x40"), set()),
        ("Prometheus' first look", version("1", "_x30 1x40"), set()),
        ("one of two instances first", version("1", "1x70") | version("2", "_x30 1x40", "api:8001"), {"2"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_deploy_is_marked(what: str, series: dict[str, str], marked: set[str], ask: Promtool) -> None:
    """Everything new comes up in minute 30."""
    expected = {f'{{target="api", version="{each}"}}': 1.0 for each in marked}
    ask.expect(series, DEPLOYED, "31m", expected)
    ask.expect(series, DEPLOYED, "29m", {})
    ask.expect(series, DEPLOYED, "40m", {})

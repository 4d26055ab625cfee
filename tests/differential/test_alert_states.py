"""Rules in Prometheus against the agent: the same value and the same alert state, at every evaluation.

For each kind of SLI thousands of made-up histories go through the agent's own judge and alerting, and through
the rules that `render` writes, in promtool (Prometheus' own rule engine). What the agent made of them stands
beside them as series, so that a disagreement is whatever these queries find.

    make differential N=20000            more histories of each kind
    DIFFERENTIAL_SEED=7 pytest …         others
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from exporters.http import Request
from exporters.sample import Labels
from monitor.agent import retention
from monitor.alerting import Alerting, State
from monitor.config import CheckConfig, Target
from monitor.judge import Verdict, judge
from monitor.objectives import Objective, Objectives
from monitor.render.rules import Pace, rules_file
from monitor.series import Memory
from tests.differential.cases import CASES, Case
from tests.differential.histories import SCRAPES, STEP, Scrape, history, samples_of

N = int(os.environ.get("N", "2000"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", "20270"))
EVERY = 15
"""Seconds from evaluation to evaluation: with each third scrape."""
STATES = {None: 0, State.PENDING: 1, State.FIRING: 2}
NAMES = {1: "pending", 2: "firing"}
AGENT = (("instance", "agent"), ("job", "monitor"))


class Evaluation(NamedTuple):
    """What the agent says at one moment; `value` is None when it can't judge."""

    value: float | None
    state: int


def agent_says(objective: Objective, scrapes: list[Scrape]) -> Iterator[Evaluation]:
    target = Target("t", "", float(STEP), (CheckConfig(objective.check, "", "", Request("")),))
    memory = Memory(retention(Objectives((objective,), Path())))
    alerting = Alerting()
    for number, scrape in enumerate(scrapes):
        now = float(number * STEP)
        if scrape.page is not None:
            memory.remember("t", objective.check, now, samples_of(scrape.page))
        if now % EVERY == 0:
            reading = judge(objective, memory, target, now)
            alerting.advance([reading], now)
            state = next((a.state for a in alerting.of("t") if a.key.name == objective.name), None)
            known = reading.verdict is not Verdict.UNKNOWN
            yield Evaluation(reading.value if known else None, STATES[state])


def series(name: str, pairs: Labels, values: Iterable[str], target: int) -> dict[str, str]:
    inside = ", ".join(f"{label}={json.dumps(value)}" for label, value in (*pairs, ("target", str(target))))
    return {"series": f"{name}{{{inside}}}", "values": " ".join(values)}


def told(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(value)


def prometheus_sees(scrapes: list[Scrape], target: int, *, probed: bool) -> Iterator[dict[str, str]]:
    """A page's series are on it or stale; a scrape that failed makes all of them stale."""
    keys = dict.fromkeys(key for scrape in scrapes for key in scrape.page or ())
    for name, pairs in keys:
        values = (_slot(scrape, (name, pairs)) for scrape in scrapes)
        yield series(name, (*pairs, *(AGENT if probed else ())), values, target)
    if not probed:
        up = ("_" if scrape.missed else str(int(scrape.page is not None)) for scrape in scrapes)
        yield series("up", (("instance", str(target)), ("job", "api")), up, target)


def _slot(scrape: Scrape, key: tuple[str, Labels]) -> str:
    if scrape.missed:
        return "_"
    return told(scrape.page[key]) if scrape.page and key in scrape.page else "stale"


def expected(evaluations: list[Evaluation], target: int) -> Iterator[dict[str, str]]:
    """On the grid of the scrapes: an evaluation, then two slots without one."""
    between = ["_"] * (EVERY // STEP - 1)
    states = (slot for each in evaluations for slot in (str(each.state), *between))
    values = (
        slot
        for each in evaluations
        for slot in ("stale" if each.value is None else told(each.value), *between)
    )
    yield series("expected_state", (), states, target)
    yield series("expected_value", (), values, target)


def disagreements(objective: Objective) -> Iterator[str]:
    """Queries that find nothing where the two agree."""
    for number, state in NAMES.items():
        ours = f"expected_state == {number}"
        theirs = f'ALERTS{{alertname="{objective.name}", alertstate="{state}"}}'
        yield f"{ours} unless on (target) {theirs}"
        yield f"{theirs} unless on (target) ({ours})"
    judged = f'objective:judged{{objective="{objective.name}"}}'
    yield f"{judged} unless on (target) expected_value"
    yield f"expected_value unless on (target) {judged}"
    yield f"abs({judged} - on (target) expected_value) > 1e-9 * abs(expected_value) + 1e-12"


def write_test(folder: Path, objective: Objective, inputs: list[dict[str, str]]) -> Path:
    pace = Pace(scrape=STEP, probe=STEP)
    (folder / "rules.yml").write_text(rules_file(Objectives((objective,), Path()), pace))
    alive = 'monitor_last_success_timestamp_seconds{job="monitor", instance="agent"}'
    inputs.append({"series": alive, "values": f"0+{STEP}x{SCRAPES}"})
    moments = range(0, SCRAPES * STEP, EVERY)
    checks = [
        {"expr": query, "eval_time": f"{moment}s", "exp_samples": []}
        for moment in moments
        for query in disagreements(objective)
    ]
    test: dict[str, Any] = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{EVERY}s",
        "group_eval_order": ["targets", objective.name, "no-data", "watchers"],
        "tests": [{"interval": f"{STEP}s", "input_series": inputs, "promql_expr_test": checks}],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps(test))  # JSON is YAML, and written far quicker
    return path


@pytest.mark.slow
@pytest.mark.timeout(120 + N // 10)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_the_agent_and_prometheus_agree(case: Case, promtool: Path, tmp_path: Path) -> None:
    objective = case.objective(tmp_path)
    inputs: list[dict[str, str]] = []
    seen = [0, 0, 0]
    unknown = 0
    for target in range(N):
        scrapes = history(case.histories, Random(f"{SEED} {case.kind} {target}"))
        evaluations = list(agent_says(objective, scrapes))
        inputs += prometheus_sees(scrapes, target, probed=objective.check == "health")
        inputs += expected(evaluations, target)
        unknown += sum(each.value is None for each in evaluations)
        for each in evaluations:
            seen[each.state] += 1
    print(f"DIFFERENTIAL_SEED={SEED} {case.kind}: {N} histories, {sum(seen)} evaluations, {unknown} unknown,")
    print(f"  {seen[1]} pending, {seen[2]} firing")
    assert min(seen) > N / 100, "the histories must break the objective, and not always"
    ran = subprocess.run(
        [promtool, "test", "rules", write_test(tmp_path, objective, inputs)],
        capture_output=True,
        text=True,
        timeout=120 + N // 10,
        check=False,
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]

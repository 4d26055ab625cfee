"""Rules in Prometheus against the agent: the same value and the same alert state, at every evaluation.

For each kind of SLI thousands of made-up histories go through the agent's own judge and alerting, and through
the rules that `render` writes, in promtool (Prometheus' own rule engine). What the agent made of them stands
beside them as series, so that a disagreement is whatever these queries find.

    make differential N=20000                       more histories of each kind
    DIFFERENTIAL_SEED=7 pytest tests/differential   others
"""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
import yaml

from exporters.http import Request
from exporters.sample import Labels
from monitor.agent import retention
from monitor.alerting import Alerting, State
from monitor.config import CheckConfig, Target
from monitor.judge import Verdict, judge
from monitor.objectives import Objective, Objectives
from monitor.render.rules import Pace, rules_file
from monitor.series import Memory
from monitor.slis import Busy, Quantile, Rate, Ratio
from tests.differential.cases import Case
from tests.differential.histories import SCRAPES, STEP, Scrape, history, samples_of
from tests.servers import CALMLY

N = int(os.environ.get("N", "2000"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", "20270"))
PATIENCE = 120 + N // 10
"""Seconds."""
EVERY = 15
"""Seconds from evaluation to evaluation: with each third scrape."""
TARGETS = 40
"""In one of promtool's tests, which takes no more than 10,000 samples into a query."""
ROUNDING = 1e-12
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


def disagreements(objective: Objective) -> str:
    """A query that finds nothing where the two agree."""
    return "\nor ".join(f"({query})" for query in _disagreements(objective))


def _disagreements(objective: Objective) -> Iterator[str]:
    for number, state in NAMES.items():
        ours = f"expected_state == {number}"
        theirs = f'ALERTS{{alertname="{objective.name}", alertstate="{state}"}}'
        yield f"{ours} unless on (target) {theirs}"
        yield f"{theirs} unless on (target) ({ours})"
    judged = f'objective:judged{{objective="{objective.name}"}}'
    yield f"{judged} unless on (target) expected_value"
    yield f"expected_value unless on (target) {judged}"
    yield f"abs({judged} - on (target) expected_value) > 1e-9 * abs(expected_value) + 1e-12"


def a_tie(objective: Objective, evaluations: list[Evaluation]) -> bool:
    """Whether a sum of fractions comes so close to the limit that the order of summation decides.

    Prometheus adds up series in no particular order. Whole numbers and their quotients don't mind, and those
    are what the made-up gauges and probes hold where they come near.
    """
    limit = objective.breach.value
    near = ROUNDING * limit
    fractions = isinstance(objective.sli, Busy | Quantile | Rate | Ratio)
    return fractions and any(
        each.value is not None and abs(each.value - limit) < near for each in evaluations
    )


def promtool_test(objective: Objective, inputs: list[dict[str, str]]) -> dict[str, Any]:
    alive = 'monitor_last_success_timestamp_seconds{job="monitor", instance="agent"}'
    checks = [
        {"expr": disagreements(objective), "eval_time": f"{moment}s", "exp_samples": []}
        for moment in range(0, SCRAPES * STEP, EVERY)
    ]
    return {
        "interval": f"{STEP}s",
        "input_series": [*inputs, {"series": alive, "values": f"0+{STEP}x{SCRAPES}"}],
        "promql_expr_test": checks,
    }


def write_rules(path: Path, objective: Objective) -> None:
    """What says who is alive, and the objective's own group, as shipped but for the words."""
    text = rules_file(Objectives((objective,), Path()), Pace(scrape=STEP, probe=STEP, evaluate=EVERY))
    groups = [each for each in yaml.safe_load(text)["groups"] if each["name"] in ("targets", objective.name)]
    for rule in groups[1]["rules"]:
        rule.pop("annotations", None)
    path.write_text(json.dumps({"groups": groups}))


def run_promtool(promtool: Path, folder: Path, objective: Objective, tests: list[dict[str, Any]]) -> str:
    """What it has to complain of."""
    write_rules(folder / "rules.yml", objective)
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{EVERY}s",
        "group_eval_order": ["targets", objective.name],
        "tests": tests,
    }
    path = folder / "test.yml"
    path.write_text(json.dumps(content))  # JSON is YAML, and quickly written
    command = (*CALMLY, promtool, "test", "rules", path)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return (ran.stdout + ran.stderr)[:3000] if ran.returncode else ""


class Comparison(NamedTuple):
    kind: str
    histories: int
    ties: int
    seen: Counter[int]
    complaints: str

    def __str__(self) -> str:
        return (
            f"DIFFERENTIAL_SEED={SEED} {self.kind}: {self.histories} histories ({self.ties} ties left out), "
            f"{self.seen.total()} evaluations, {self.seen[1]} pending, {self.seen[2]} firing"
        )


def compare(case: Case, promtool: Path, folder: Path, wanted: int) -> Comparison:
    """As many histories that are no tie."""
    objective = case.objective(folder)
    inputs: list[list[dict[str, str]]] = []
    seen, ties = Counter[int](), 0
    for target in itertools.count():
        if len(inputs) == wanted:
            break
        scrapes = history(case.histories, Random(f"{SEED} {case.kind} {target}"))
        evaluations = list(agent_says(objective, scrapes))
        if a_tie(objective, evaluations):
            ties += 1
            continue
        seen.update(each.state for each in evaluations)
        sees = prometheus_sees(scrapes, target, probed=objective.check == "health")
        inputs.append([*sees, *expected(evaluations, target)])
    tests = [promtool_test(objective, batch) for batch in batches(inputs)]
    return Comparison(case.kind, wanted, ties, seen, run_promtool(promtool, folder, objective, tests))


def check(
    case: Case, promtool: Path, folder: Path, capsys: pytest.CaptureFixture[str], wanted: int = N
) -> None:
    compared = compare(case, promtool, folder, wanted)
    with capsys.disabled():
        print(f"\n{compared}", end=" ")
    assert not compared.complaints, compared.complaints
    assert min(compared.seen[state] for state in STATES.values()) > wanted / 20, (
        "broken now and then, not always"
    )
    assert compared.ties < wanted / 20


def is_found(case: Case, wrong: dict[str, Any], promtool: Path, folder: Path) -> bool:
    """Whether an agent whose objective differs from that of the rules is seen to disagree with them."""
    objective = case.objective(folder)
    inputs: list[dict[str, str]] = []
    for target in range(TARGETS):
        scrapes = history(case.histories, Random(f"{SEED} {case.kind} {target}"))
        inputs += prometheus_sees(scrapes, target, probed=objective.check == "health")
        inputs += expected(list(agent_says(replace(objective, **wrong), scrapes)), target)
    return "FAILED" in run_promtool(promtool, folder, objective, [promtool_test(objective, inputs)])


def batches(inputs: list[list[dict[str, str]]]) -> Iterator[list[dict[str, str]]]:
    for first in range(0, len(inputs), TARGETS):
        yield [line for target in inputs[first : first + TARGETS] for line in target]

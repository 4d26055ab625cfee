"""SLIs that the target's own metrics feed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from monitor.quantity import parse_threshold
from tests.differential.cases import CASES, Case
from tests.differential.comparing import (
    PATIENCE,
    SEED,
    TARGETS,
    agent_says,
    check,
    expected,
    prometheus_sees,
    promtool_test,
    run_promtool,
)
from tests.differential.histories import history


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.check == "metrics"], ids=lambda case: f"{case.kind}-{SEED}"
)
def test_the_agent_and_prometheus_agree(
    case: Case, promtool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(case, promtool, tmp_path, capsys)


@pytest.mark.parametrize("wrong", [{"breach": parse_threshold("above 6%")}, {"for_": 45.0}], ids=str)
def test_a_rule_that_is_wrong_is_found(wrong: dict[str, Any], promtool: Path, tmp_path: Path) -> None:
    """The agent with another threshold than the rules, or one that fires a moment later."""
    case = next(each for each in CASES if each.kind == "ratio")
    objective = case.objective(tmp_path)
    inputs: list[dict[str, str]] = []
    for target in range(TARGETS):
        scrapes = history(case.histories, Random(f"{SEED} {case.kind} {target}"))
        inputs += prometheus_sees(scrapes, target, probed=False)
        inputs += expected(list(agent_says(replace(objective, **wrong), scrapes)), target)
    assert "FAILED" in run_promtool(promtool, tmp_path, objective, [promtool_test(objective, inputs)])

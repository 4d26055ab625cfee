"""What fires ends at the same evaluation, where it takes more than one good value within the limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.differential.cases import HYSTERESIS, Case
from tests.differential.comparing import (
    PATIENCE,
    SEED,
    TARGETS,
    N,
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
@pytest.mark.parametrize("case", HYSTERESIS, ids=lambda case: f"{case.kind}-{SEED}")
def test_the_agent_and_prometheus_agree(
    case: Case, promtool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(case, promtool, tmp_path, capsys, N // 8)


@pytest.mark.parametrize("case", HYSTERESIS, ids=lambda case: case.kind)
def test_an_agent_that_forgets_it_is_found(case: Case, promtool: Path, tmp_path: Path) -> None:
    objective = case.objective(tmp_path)
    forgetful = replace(objective, clear=None, good_results=1)
    inputs: list[dict[str, str]] = []
    for target in range(TARGETS):
        scrapes = history(case.histories, Random(f"{SEED} {case.kind} {target}"))
        inputs += prometheus_sees(scrapes, target, probed=case.check == "health")
        inputs += expected(list(agent_says(forgetful, scrapes)), target)
    assert "FAILED" in run_promtool(promtool, tmp_path, objective, [promtool_test(objective, inputs)])

"""SLIs that the target's own metrics feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.quantity import parse_threshold
from tests.differential.cases import CASES, Case
from tests.differential.comparing import PATIENCE, SEED, check, is_found


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
    assert is_found(case, wrong, promtool, tmp_path)

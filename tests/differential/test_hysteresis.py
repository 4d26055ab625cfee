"""What fires ends at the same evaluation, where it takes more than one good value within the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.differential.cases import HYSTERESIS, Case
from tests.differential.comparing import PATIENCE, SEED, N, check, is_found


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("case", HYSTERESIS, ids=lambda case: f"{case.kind}-{SEED}")
def test_the_agent_and_prometheus_agree(
    case: Case, promtool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(case, promtool, tmp_path, capsys, N // 8)


@pytest.mark.parametrize("case", HYSTERESIS, ids=lambda case: case.kind)
def test_an_agent_that_forgets_it_is_found(case: Case, promtool: Path, tmp_path: Path) -> None:
    assert is_found(case, {"clear": None, "good_results": 1}, promtool, tmp_path)

"""SLIs that the agent's probes feed, and those that the next file has: together every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.slis import SLI_KINDS
from tests.differential.cases import CASES, Case
from tests.differential.comparing import PATIENCE, SEED, check


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.check == "health"], ids=lambda case: f"{case.kind}-{SEED}"
)
def test_the_agent_and_prometheus_agree(
    case: Case, promtool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(case, promtool, tmp_path, capsys)


def test_every_kind_has_its_case() -> None:
    assert [case.kind for case in CASES] == sorted(SLI_KINDS)

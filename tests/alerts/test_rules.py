"""alerts/*.yml as Prometheus' own tool sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.servers import CALMLY

ALERTS = Path(__file__).parents[2] / "alerts"
UNIT_TESTS = sorted(path.name for path in ALERTS.glob("*_test.yml"))
UNTESTABLE = {"availability": "promtool takes too few samples into a query; test_availability_rule.py has it"}


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ALERTS, capture_output=True, text=True, timeout=300, check=False)


def test_rules_are_right_and_nothing_in_them_is_suspicious(promtool: Path) -> None:
    ran = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.timeout(310)
@pytest.mark.parametrize("name", UNIT_TESTS)
def test_every_alert_fires_when_it_must_and_not_before(name: str, promtool: Path) -> None:
    ran = run(*CALMLY, promtool, "test", "rules", name)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[:3000]


def test_every_alert_has_its_unit_tests() -> None:
    """Of each there is one that fires and one that never does, or is silent at some moment."""
    groups = yaml.safe_load((ALERTS / "rules.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    tested = "\n".join((ALERTS / name).read_text() for name in UNIT_TESTS)
    assert set(UNIT_TESTS) == {"rules_slow_test.yml", "rules_test.yml", "watchers_test.yml"}
    assert {alert for alert in alerts if f'alertname="{alert}"' not in tested} == UNTESTABLE.keys()

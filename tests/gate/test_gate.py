"""The gate as a pipeline runs it, in a process, against the shipped API as another one."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.gate.cli import app
from monitor.resources import resource
from tests.conftest import StartProcess
from tests.gate.conftest import RunGate, StartApi
from tests.gate.pipeline import SECRET
from tests.servers import free_port, wait_until

NOT_CONFIGURED = {
    *("frontend", "https", "tls", "certificate", "metrics-private", "home-page", "regression"),
    *("firing-alerts", "error-budget", "availability"),
}
"""Without a frontend, TLS and a history."""


@pytest.mark.nightly
def test_the_shipped_api_passes_in_time_and_nothing_is_left_behind(api: StartApi, run_gate: RunGate) -> None:
    healthy = api()
    before, began = healthy.rows(), time.monotonic()
    ran = run_gate("--target", healthy.url)
    took = time.monotonic() - began
    assert ran.status == 0, ran.output
    assert ran.standing(None) == NOT_CONFIGURED
    assert healthy.rows() == before
    assert took < 90


@pytest.mark.slow
def test_the_same_without_watching_its_memory(api: StartApi, run_gate: RunGate, tmp_path: Path) -> None:
    config = tmp_path / "gate.yml"
    lines = resource("alerts", "gate.yml").read_text().splitlines(keepends=True)
    config.write_text("".join(each for each in lines if "- memory-leak" not in each))
    healthy = api()
    before = healthy.rows()
    ran = run_gate("--target", healthy.url, "--config", str(config))
    assert ran.status == 0, ran.output
    assert ran.standing(None) == NOT_CONFIGURED
    assert healthy.rows() == before


def test_nobody_answers(run_gate: RunGate) -> None:
    began = time.monotonic()
    ran = run_gate("--target", f"http://127.0.0.1:{free_port()}")
    assert ran.status == 4, ran.output
    assert time.monotonic() - began < 20


@pytest.mark.nightly
def test_a_canary_beside_its_like_passes(api: StartApi, run_gate: RunGate) -> None:
    old, new = api(), api()
    before, began = (old.rows(), new.rows()), time.monotonic()
    ran = run_gate("--target", new.url, "--profile", "canary", "--baseline", old.url)
    assert ran.status == 0, ran.output
    assert "regression" in ran.standing("pass")
    assert (old.rows(), new.rows()) == before
    assert time.monotonic() - began < 90


@pytest.mark.nightly
def test_interrupted_it_cleans_up_and_reports(api: StartApi, process: StartProcess, tmp_path: Path) -> None:
    healthy = api()
    before, report = healthy.rows(), tmp_path / "report.json"
    gate = process(
        sys.executable,
        *("-m", "monitor", "gate", "--target", healthy.url, "--json", report),
        env={"GATE_JWT_SECRET": SECRET},
    )
    wait_until(lambda: healthy.rows()["diagnostic_summaries"] > 5 or not gate.running, 60)
    gate.send(signal.SIGINT)
    assert gate.wait() == 130, gate.output
    assert "INTERRUPTED" in gate.output
    assert healthy.rows() == before
    assert report.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "example.com"), "did you forget http:// or https://?"),
        (("--target", "http://127.0.0.1:1", "--profile", "canry"), "did you mean 'canary'?"),
        (("--target", "http://127.0.0.1:1", "--max-time", "120"), "did you mean '120s'?"),
        (("--target", "http://127.0.0.1:1", "--from", "grafana"), "probes, history or prometheus=URL"),
        (("--target", "http://127.0.0.1:1", "--from", "history"), "GATE_HISTORY"),
    ],
)
def test_usage(arguments: tuple[str, ...], said: str) -> None:
    ran = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})
    assert ran.exit_code == 2
    assert said in ran.output


def test_plan_says_what_it_takes() -> None:
    ran = CliRunner().invoke(app, ["plan", "--request-time", "50ms"])
    assert ran.exit_code == 0
    assert "latency-p95 and error-rate" in ran.output
    assert "In all at most" in ran.output
    assert "With --baseline 305 requests more" in ran.output


def test_a_waiver_is_written_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "gate-waivers.yml"
    asked = ("waive", "hsts", "--owner", "ann", "--reason", "proxy moves", "--waivers", str(file))
    assert CliRunner().invoke(app, [*asked, "--expires", "14d"]).exit_code == 0
    assert 'check: "hsts"' in file.read_text()
    refused = CliRunner().invoke(app, [*asked, "--expires", "900d"], env={"COLUMNS": "400"})
    assert (refused.exit_code, "expires" in refused.output) == (2, True)

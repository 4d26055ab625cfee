"""Each exit status means what docs/gate.md says; and whoever knows nothing never ends with 0."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor.__main__ import USAGE
from monitor.gate import run as gate_run
from monitor.gate.cli import app
from monitor.history import History
from monitor.interruption import Interruption
from monitor.yamlfile import ConfigError
from tests.conftest import StartProcess
from tests.gate.shops import Shop, opened
from tests.servers import Process, free_port, wait_until

FILE = """
version: 1
requests: [GET /me]
history: {database: '${GATE_HISTORY:-}'}
checks:
  clean-up:
  latency-p95: {objective: latency-p95}
  error-rate: {objective: error-rate}
  pool-usage: {objective: pool-usage}
  availability: {objective: availability}
  firing-alerts:
  regression:
profiles:
  sampled: {checks: [latency-p95, error-rate]}
  known: {checks: [pool-usage, availability, firing-alerts]}
  compared: {checks: [latency-p95, regression]}
  alone: {checks: [regression]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "gate.yml"
    written.write_text(FILE)
    return written


Run = Callable[..., int]


@pytest.fixture
def run(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """In this process, whose signals stay as they are. The report's own status is the same."""
    monkeypatch.setattr(Interruption, "arm", lambda _: None)

    def status(url: str, profile: str, *others: str, **environ: str) -> int:
        report = tmp_path / "report.json"
        asked = ["--target", url, "--profile", profile, "--config", str(file), "--json", str(report), *others]
        ran = CliRunner().invoke(app, asked, env=environ)
        if isinstance(ran.exception, ConfigError):
            return USAGE
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        if ran.exit_code != USAGE:
            assert json.loads(report.read_text())["exit"] == ran.exit_code
        return ran.exit_code

    return status


def test_0_for_what_keeps_its_promises_and_1_for_what_does_not(run: Run) -> None:
    with opened(Shop()) as url:
        assert run(url, "sampled") == 0
    with opened(Shop(wrong={"/me": 500})) as url:
        assert run(url, "sampled") == 1
        assert run(url, "sampled", "--on-inconclusive", "pass") == 1


def test_2_for_mistakes(run: Run, file: Path) -> None:
    with opened(Shop()) as url:
        assert run(url, "sample") == 2
        assert run(url, "compared", "--baseline", "last-pass") == 2
        assert run(url, "compared", "--baseline", "ftp://old") == 2


def test_3_for_three_requests(run: Run) -> None:
    with opened(Shop()) as url:
        assert run(url, "sampled", "--max-requests", "8") == 3
        assert run(url, "sampled", "--max-requests", "3") == 3


def test_3_where_nothing_was_judged(run: Run, tmp_path: Path) -> None:
    """That the account is deleted again shows nothing."""
    with opened(Shop()) as url:
        for lenient in ((), ("--on-inconclusive", "pass"), ("--on-inconclusive", "wait", "--max-time", "1s")):
            assert run(url, "alone", "--junit", str(tmp_path / "gate.xml"), *lenient) == 3
            assert {each["verdict"] for each in report(tmp_path)["results"]} == {None, "inconclusive"}
            assert "<error" in (tmp_path / "gate.xml").read_text()


def test_3_when_the_time_is_over_and_it_ends_there(run: Run, tmp_path: Path) -> None:
    with opened(Shop({"/me": 0.05})) as url, socket.create_server(("127.0.0.1", 0)) as silent:
        for target in (url, f"http://127.0.0.1:{silent.getsockname()[1]}"):
            assert run(target, "sampled", "--max-time", "1s", "--on-inconclusive", "pass") == 3
            found = report(tmp_path)
            assert {each["cause"] for each in found["results"][:2]} <= {"too_few", "no_samples"}
            began, ended = (datetime.fromisoformat(found[each]) for each in ("began", "ended"))
            assert (ended - began).total_seconds() < 5
    assert found["requests"] == 1


def test_1_and_soon_for_a_target_that_accepts_and_never_answers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_run, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert run(f"http://127.0.0.1:{silent.getsockname()[1]}", "sampled", "--max-time", "60s") == 1
    found = report(tmp_path)
    [reachable] = [each for each in found["results"] if each["check"] == "reachable"]
    assert reachable["verdict"] == "fail"
    assert "answered none of 3 requests" in reachable["said"]
    assert found["requests"] == 3


def test_3_or_5_for_an_empty_history_or_none(run: Run, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/empty.db"
    with opened(Shop()) as url:
        assert run(url, "known", GATE_HISTORY=f"sqlite:///{tmp_path}/none.db") == 5
        store = History(database)
        store.create()
        store.close()
        assert run(url, "known", "--from", "history", GATE_HISTORY=database) == 3
        assert run(url, "known", "--from", "history", "--on-inconclusive", "pass", GATE_HISTORY=database) == 3


def test_4_for_a_target_that_is_down(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert run(url, "sampled") == 4
    assert run(url, "sampled", "--on-inconclusive", "pass") == 4


def test_5_for_a_source_that_is_down(run: Run) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with opened(Shop()) as url:
        for lenient in ((), ("--on-inconclusive", "pass")):
            assert run(url, "known", "--from", f"prometheus={away}", *lenient) == 5
            assert run(url, "compared", "--baseline", away, *lenient) == 5


@pytest.fixture
def start(process: StartProcess, file: Path, tmp_path: Path) -> Callable[..., Process]:
    def started(url: str, *others: str) -> Process:
        report = ("--json", str(tmp_path / "report.json"))
        asked = ("--target", url, "--profile", "sampled", "--config", str(file), *report)
        return process(sys.executable, "-m", "monitor", "gate", *asked, *others)

    return started


def report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.nightly)])
def test_130_for_whoever_stops_it_and_it_cleans_up(
    number: signal.Signals, start: Callable[..., Process], tmp_path: Path
) -> None:
    shop = Shop({"/me": 0.1})
    with opened(shop) as url:
        gate = start(url)
        wait_until(lambda: shop.heard.count("/me") > 5 or not gate.running, 60)
        gate.send(number)
        assert gate.wait() == 130, gate.output
    assert (shop.registered, shop.deleted) == (1, 1)
    assert report(tmp_path)["outcome"] == "interrupted"


@pytest.mark.nightly
def test_a_gate_that_was_suspended_calls_nobody_slow(start: Callable[..., Process], tmp_path: Path) -> None:
    shop = Shop({"/me": 0.03})
    with opened(shop) as url:
        suspended(start(url), shop, 5.0, 0)
    found = report(tmp_path)
    assert found["stalled"] > 4
    assert [each["evidence"]["bad"] for each in found["results"][:2]] == [0, 0]


@pytest.mark.nightly
def test_one_that_was_suspended_until_its_time_was_over_knows_nothing(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    shop = Shop({"/me": 0.1})
    with opened(shop) as url:
        suspended(start(url, "--max-time", "6s"), shop, 7.0, 3)
    assert {each["cause"] for each in report(tmp_path)["results"][:2]} <= {"too_few", "no_samples"}


def suspended(gate: Process, shop: Shop, seconds: float, status: int) -> None:
    """While it samples."""
    wait_until(lambda: shop.heard.count("/me") > 10 or not gate.running, 60)
    gate.send(signal.SIGSTOP)
    time.sleep(seconds)
    gate.send(signal.SIGCONT)
    assert gate.wait(60) == status, gate.output

"""Each defect is caught by its check, and the shipped API by none. The API runs in this process here."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator

import pytest
from starlette.types import ASGIApp

from monitor.gate.checks import CHECKS, idle
from monitor.gate.config import GateConfig, Profile, load_gate
from monitor.gate.found import Found
from monitor.gate.model import CLEAN_UP, Cause, Exit, Report
from monitor.gate.run import gate
from monitor.gate.sequential import Verdict
from monitor.objectives import load_objectives
from monitor.resources import resource
from tests.app.conftest import PASSWORD, register, served
from tests.gate import defects
from tests.gate.pipeline import SECRET, production, rows
from tests.servers import Postgres, eventually

QUICK = {
    *("open_route", "alg_none_accepted", "leeway_of_five_minutes", "any_origin", "no_hsts", "debug_on"),
    *("weak_passwords", "another_secret_on_one_of_two_instances", "pool_leak", "upload_spooled_to_disk"),
    *("passwords_guessed", "slow_health", "accounts_stay", "errors_in_bursts", "clients_of_everybody"),
    *("unknown_addresses_told", "version_told"),
}
"""The others are left to `make gate-proof`; some look at what a process is as a whole."""


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture(autouse=True)
def _as_in_production(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in production(database).items():
        monkeypatch.setenv(name, value)
    yield
    defects.put_back()


def configured(**environ: str) -> GateConfig:
    objectives = load_objectives(resource("alerts", "objectives.yml"))
    return load_gate(resource("alerts", "gate.yml"), objectives, {"GATE_JWT_SECRET": SECRET, **environ})


def judged(make: Callable[[], ASGIApp], *checks: str, max_requests: int = 400, **environ: str) -> Report:
    profile = Profile("test", checks, max_time=60, max_requests=max_requests, samples=600)
    with served(make()) as client:  # type: ignore[arg-type]
        return asyncio.run(gate(str(client.base_url), configured(**environ), profile))


@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_defect_is_caught_by_its_check(name: str) -> None:
    make, check, after, _ = defects.DEFECTS[name]
    report = judged(make, *dict.fromkeys(each for each in (*after, check) if each != CLEAN_UP))
    (found,) = (each for each in report.results if each.check == check)
    assert found.verdict is Verdict.FAIL, found
    assert report.exit() is Exit.FAIL


def test_three_requests_show_nothing() -> None:
    report = judged(defects.healthy, "latency-p95", "error-rate", max_requests=8)
    assert {each.cause for each in report.results if each.verdict is Verdict.INCONCLUSIVE} == {Cause.TOO_FEW}
    assert report.exit() is Exit.INCONCLUSIVE


@pytest.mark.parametrize("allowed", [1, 3])
def test_no_requests_to_speak_of(allowed: int) -> None:
    report = judged(defects.healthy, "register", "upload", "cors", max_requests=allowed)
    assert report.exit() is Exit.INCONCLUSIVE
    assert report.requests <= allowed


def test_weak_accounts_that_came_to_be_are_deleted(database: str) -> None:
    before = rows(database)
    report = judged(defects.weak_passwords, "password-rules")
    assert report.exit() is Exit.FAIL
    assert rows(database) == before


def test_a_frontend_that_is_away_does_not_pass() -> None:
    report = judged(defects.healthy, "frontend", "home-page", GATE_FRONTEND="http://127.0.0.1:1")
    assert [each.verdict for each in report.results[:2]] == [Verdict.FAIL, Verdict.INCONCLUSIVE]
    assert report.exit() is not Exit.PASS


def test_a_metrics_page_that_is_named_must_be_there() -> None:
    report = judged(defects.healthy, "upload", "pool-usage", GATE_METRICS="http://127.0.0.1:1/metrics")
    (found,) = (each for each in report.results if each.check == "pool-usage")
    assert found.cause is Cause.SOURCE_ERROR
    assert report.exit() is Exit.ERROR


def test_who_comes_first_after_a_pause_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "PAUSE", 0.3)
    assert judged(defects.healthy, "after-idle").exit() is Exit.PASS
    monkeypatch.setattr(defects, "IDLE", 0.2)
    report = judged(defects.slow_after_idle, "after-idle")
    assert [each.verdict for each in report.results] == [Verdict.FAIL, Verdict.PASS]


def test_an_account_that_is_given_stays(database: str) -> None:
    with served(defects.healthy()) as client:
        assert register(client, "synthetic@example.com").status_code == 201
        report = judged(
            defects.healthy,
            *("register", "log-in", "client-create"),
            GATE_EMAIL="synthetic@example.com",
            GATE_PASSWORD=PASSWORD,
        )
        verdicts = {each.check: each.verdict for each in report.results}
        assert verdicts == {
            "register": None,
            "log-in": Verdict.PASS,
            "client-create": Verdict.PASS,
            "clean-up": Verdict.PASS,
        }
        assert report.exit() is Exit.PASS
    assert rows(database)["clients"] == 0


def test_a_defect_of_the_gate_itself_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_run: object) -> Found:
        raise RuntimeError("nobody thought of it")

    monkeypatch.setitem(CHECKS, "upload", dataclasses.replace(CHECKS["upload"], ask=broken))
    report = judged(defects.healthy, "log-in", "upload")
    assert report.exit() is Exit.ERROR


def test_cancelled_it_cleans_up_and_says_so(database: str) -> None:
    async def stopped(url: str) -> Report:
        task = asyncio.create_task(gate(url, configured(), configured().profiles["post-deploy"]))
        await eventually(lambda: rows(database)["diagnostic_summaries"] > before["diagnostic_summaries"])
        task.cancel()
        return await task

    with served(defects.healthy()) as client:
        before = rows(database)
        report = asyncio.run(stopped(str(client.base_url)))
    assert report.exit() is Exit.INTERRUPTED
    assert rows(database) == before

"""Against a baseline: another service in turns, or an earlier report. Services run in this process here."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitor.gate import runs
from monitor.gate.baseline import Baseline, parse_baseline
from monitor.gate.config import GateConfig, Profile, load_gate
from monitor.gate.model import Cause, Exit, Report, Result, Timed
from monitor.gate.reports import load_report, read_report
from monitor.gate.reports.as_json import as_json
from monitor.gate.run import gate
from monitor.gate.sequential import Verdict
from monitor.gate.timings import MOST, Timings
from monitor.history import History
from monitor.objectives import load_objectives
from monitor.resources import resource
from monitor.yamlfile import ConfigError
from tests.app.conftest import served
from tests.gate.asking import GOOD
from tests.gate.conftest import RunGate
from tests.servers import eventually, free_port

KINDS = ("GET /me", "GET /list")
FILE = load_gate(resource("alerts", "gate.yml"), load_objectives(resource("alerts", "objectives.yml")), {})
CONFIG = dataclasses.replace(FILE, requests=KINDS)
PROFILE = Profile("test", ("regression",), max_time=30, max_requests=1000, samples=600)


class Shop:
    """A small service. `slow`: seconds that a path takes more; `wrong`: a path's status."""

    def __init__(self, slow: dict[str, float] | None = None, wrong: dict[str, int] | None = None) -> None:
        self.slow, self.wrong = slow or {}, wrong or {}
        self.accounts: list[str] = []
        self.registered = self.deleted = 0
        self.heard: list[str] = []

    async def answer(self, request: Request) -> Response:
        path = request.url.path
        self.heard.append(path)
        await asyncio.sleep(0.004 + self.slow.get(path, 0.0))
        if path in self.wrong:
            return Response(status_code=self.wrong[path])
        if path == "/auth/register":
            self.registered += 1
            return JSONResponse({"id": 1}, 201)
        if path == "/auth/delete":
            self.deleted += 1
            return Response(status_code=204)
        return JSONResponse({"access_token": "t"})

    def app(self) -> Starlette:
        methods = ["GET", "POST"]
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])


Compare = Callable[..., Report]


@pytest.fixture
def compare() -> Iterator[Compare]:
    """The report of `new` beside `old`; what each of them heard is in them."""
    with ExitStack() as stack:

        def url(shop: Shop) -> str:
            return str(stack.enter_context(served(shop.app())).base_url).rstrip("/")  # type: ignore[arg-type]

        def compared(new: Shop, old: Shop | Baseline | None, **profile: Any) -> Report:
            baseline = Baseline(url(old)) if isinstance(old, Shop) else old
            wanted = dataclasses.replace(PROFILE, **profile)
            return asyncio.run(gate(url(new), CONFIG, wanted, baseline=baseline))

        yield compared


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is quick services that are told apart here."""
    monkeypatch.setattr("monitor.gate.pairs.PAIRS", 40)


def found(report: Report) -> Result:
    return next(each for each in report.results if each.check == "regression")


def test_what_is_alike_passes_and_both_accounts_are_deleted(compare: Compare) -> None:
    new, old = Shop(), Shop()
    report = compare(new, old)
    assert (report.exit(), found(report).verdict) == (Exit.PASS, Verdict.PASS), found(report)
    for shop in (new, old):
        assert (shop.registered, shop.deleted) == (1, 1)
        assert shop.heard.count("/me") == 41
    assert [(each.what, len(each.seconds) > 30) for each in report.timed] == [(each, True) for each in KINDS]
    assert "on the baseline: the account is deleted again" in report.results[-1].said


def test_one_slow_route_is_named(compare: Compare) -> None:
    report = compare(Shop({"/list": 0.008}), Shop())
    assert report.exit() is Exit.FAIL
    assert "GET /list: " in found(report).said
    assert "GET /me: " not in found(report).said
    assert found(report).asked
    assert {each.what for each in found(report).asked} == {"GET /list"}


def test_what_fails_more_often_is_worse(compare: Compare) -> None:
    report = compare(Shop(wrong={"/me": 500}), Shop())
    assert report.exit() is Exit.FAIL
    assert "GET /me: 40 of 40 failed, before 0 of 40" in found(report).said


def test_what_is_faster_is_no_regression(compare: Compare) -> None:
    assert found(compare(Shop(), Shop({"/list": 0.008}))).verdict is Verdict.PASS


def test_a_baseline_that_does_not_answer_never_passes(compare: Compare) -> None:
    new = Shop()
    report = compare(new, Baseline(f"http://127.0.0.1:{free_port()}"))
    assert (report.exit(), found(report).cause) == (Exit.ERROR, Cause.SOURCE_ERROR)
    assert report.results[-1].verdict is not Verdict.FAIL
    assert new.registered == new.deleted


@pytest.mark.parametrize("wrong", ["/me", "/auth/register", "/auth/login"])
def test_a_baseline_in_trouble_never_passes(compare: Compare, wrong: str) -> None:
    report = compare(Shop(), Shop(wrong={wrong: 503}))
    assert found(report).cause is Cause.SOURCE_ERROR
    assert report.exit() in (Exit.ERROR, Exit.FAIL)


def test_a_route_that_the_baseline_does_not_have_is_named(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.gate.pairs.PAIRS", 70)
    report = compare(Shop(), Shop(wrong={"/list": 404}))
    assert found(report).verdict is Verdict.PASS
    assert "not in the baseline: GET /list" in found(report).said
    nothing = compare(Shop(), Shop(wrong={"/list": 404, "/me": 405}))
    assert (found(nothing).cause, nothing.exit()) == (Cause.NO_SAMPLES, Exit.INCONCLUSIVE)


def test_too_few_requests_do_not_pass(compare: Compare) -> None:
    report = compare(Shop(), Shop(), max_requests=40)
    assert (found(report).cause, report.exit()) == (Cause.TOO_FEW, Exit.INCONCLUSIVE)
    assert found(report).missing > 0
    assert compare(Shop(), Shop(), max_requests=5).exit() is Exit.INCONCLUSIVE


def test_the_target_may_be_its_own_baseline(compare: Compare) -> None:
    shop = Shop()
    with served(shop.app()) as client:  # type: ignore[arg-type]
        url = str(client.base_url).rstrip("/")
        report = asyncio.run(gate(url, CONFIG, PROFILE, baseline=Baseline(url)))
    assert found(report).verdict is Verdict.PASS
    assert "the target itself: what differs is chance" in found(report).said
    assert (shop.registered, shop.deleted) == (2, 2)


def test_interrupted_it_deletes_both_accounts() -> None:
    new, old = Shop({"/me": 0.05}), Shop()

    async def stopped(*urls: str) -> Report:
        task = asyncio.create_task(gate(urls[0], CONFIG, PROFILE, baseline=Baseline(urls[1])))
        await eventually(lambda: old.heard.count("/me") > 5)
        task.cancel()
        return await task

    with served(new.app()) as first, served(old.app()) as second:  # type: ignore[arg-type]
        report = asyncio.run(stopped(*(str(each.base_url).rstrip("/") for each in (first, second))))
    assert report.exit() is Exit.INTERRUPTED
    assert [(each.registered, each.deleted) for each in (new, old)] == [(1, 1), (1, 1)]


def earlier(report: Report | None) -> Baseline:
    async def found() -> Report | None:
        return report

    return Baseline(earlier=found)


def test_an_earlier_report_is_a_baseline(compare: Compare, tmp_path: Path) -> None:
    before = load_report(as_json(compare(Shop(), earlier(None))))
    assert found(compare(Shop(), earlier(before))).verdict is Verdict.PASS
    slower = compare(Shop({"/list": 0.008}), earlier(before))
    assert (slower.exit(), "GET /list: " in found(slower).said) == (Exit.FAIL, True)
    file = tmp_path / "gate.json"
    file.write_text(as_json(before))
    assert read_report(file).timed == before.timed


def test_without_a_baseline_nothing_passes_and_it_is_shown(compare: Compare) -> None:
    for baseline, said in (
        (None, "nothing to compare with"),
        (earlier(None), "no baseline yet; if this run passes, it is one"),
        (earlier(dataclasses.replace(compare(Shop(), None), timed=())), "has no durations in it"),
    ):
        report = compare(Shop(), baseline)
        assert (found(report).verdict, said in found(report).said) == (None, True)
        assert len(report.timed) == (0 if baseline is None else 2)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[tuple[History, GateConfig]]:
    url = f"sqlite:///{tmp_path}/history.db"
    store = History(url)
    store.create()
    yield store, dataclasses.replace(CONFIG, database=url)
    store.close()


def test_the_last_pass_is_read_from_the_history(
    history: tuple[History, GateConfig], compare: Compare
) -> None:
    store, config = history
    baseline = parse_baseline("last-pass", "http://api", "test", config)
    assert baseline is not None
    assert asyncio.run(baseline.earlier()) is None
    good = dataclasses.replace(compare(Shop(), earlier(None)), target="http://api")
    bad = dataclasses.replace(compare(Shop({"/me": 1.0}), earlier(good), max_time=3), target="http://api")
    runs.add(store.engine, good)
    runs.add(store.engine, dataclasses.replace(bad, began=good.began + 60))
    runs.add(store.engine, dataclasses.replace(good, target="http://other", timed=(Timed("GET /x", (1.0,)),)))
    last = asyncio.run(baseline.earlier())
    assert last is not None
    assert last.timed == good.timed


def test_a_history_that_is_away_never_passes(compare: Compare, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, database=f"sqlite:///{tmp_path}/none.db")
    report = compare(Shop(), parse_baseline("last-pass", "http://api", "test", config))
    assert (found(report).cause, report.exit()) == (Cause.SOURCE_ERROR, Exit.ERROR)
    assert not (tmp_path / "none.db").exists()


def test_baselines_as_they_are_written(tmp_path: Path) -> None:
    assert parse_baseline("", "http://api", "test", CONFIG) is None
    assert parse_baseline("https://old/", "http://api", "test", CONFIG) == Baseline("https://old")
    with pytest.raises(ValueError, match="GATE_HISTORY"):
        parse_baseline("last-pass", "http://api", "test", CONFIG)
    file = tmp_path / "gate.json"
    with pytest.raises(ConfigError, match="can't be read"):
        parse_baseline(str(file), "http://api", "test", CONFIG)
    file.write_text(json.dumps({"version": 2}))
    with pytest.raises(ConfigError, match="version 2; this program reads version 1"):
        parse_baseline(str(file), "http://api", "test", CONFIG)


def test_a_report_stays_small() -> None:
    kept = Timings()
    for _ in range(MOST + 50):
        kept.hear("GET /me", GOOD)
    (timed,) = kept.timed()
    assert len(timed.seconds) == MOST


def test_a_pipeline_compares_with_what_it_stored(
    history: tuple[History, GateConfig], run_gate: RunGate, tmp_path: Path
) -> None:
    store, config = history
    file = tmp_path / "gate.yml"
    file.write_text(
        "version: 1\nrequests: [GET /me, GET /list]\nhistory: {database: '${GATE_HISTORY:-}'}\n"
        "checks: {clean-up: , regression: }\nprofiles: {post-deploy: {checks: [regression]}}\n"
    )
    with served(Shop().app()) as client:  # type: ignore[arg-type]
        asked = ("--target", str(client.base_url), "--config", str(file))
        last = (*asked, "--baseline", "last-pass")
        kept = {"GATE_HISTORY": config.database}
        first = run_gate(*last, env=kept)
        assert (first.status, "no baseline yet" in first.output) == (0, True), first.output
        assert run_gate(*last, "--no-store", env=kept).standing("pass") == {"regression", "clean-up"}
        assert len(runs.since(store.engine, 0)) == 1
        (tmp_path / "other.db").write_text("this is no database")
        lost = run_gate(*asked, env={"GATE_HISTORY": f"sqlite:///{tmp_path}/other.db"})
        assert (lost.status, "This run is not kept: history: " in lost.output) == (3, True), lost.output

"""Against a baseline: another service in turns, or an earlier report. Services run in this process here."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor.gate import runs
from monitor.gate.baseline import Baseline, parse_baseline
from monitor.gate.cli import app
from monitor.gate.config import GateConfig, Profile, load_gate
from monitor.gate.model import Cause, Exit, Report, Result, Timed
from monitor.gate.reports import load_report, read_report
from monitor.gate.reports.as_json import as_json
from monitor.gate.run import gate
from monitor.gate.sequential import Verdict
from monitor.gate.timings import MOST, Timings
from monitor.history import History
from monitor.interruption import Interruption
from monitor.objectives import load_objectives
from monitor.resources import resource
from monitor.yamlfile import ConfigError
from tests.gate.asking import GOOD
from tests.gate.shops import Shop, opened
from tests.servers import eventually, free_port

KINDS = ("GET /me", "GET /list")
FILE = load_gate(resource("alerts", "gate.yml"), load_objectives(resource("alerts", "objectives.yml")), {})
CONFIG = dataclasses.replace(FILE, requests=KINDS)
SLOWER = {"/me": 0.02, "/list": 0.02}
"""Of a baseline that a busy machine, too, leaves no doubt about."""
PROFILE = Profile("test", ("regression",), max_time=30, max_requests=1000, samples=600)


Compare = Callable[..., Report]


@pytest.fixture
def compare() -> Iterator[Compare]:
    """The report of `new` beside `old`; what each of them heard is in them."""
    with ExitStack() as stack:

        def compared(new: Shop, old: Shop | Baseline | None, **profile: Any) -> Report:
            baseline = Baseline(stack.enter_context(opened(old))) if isinstance(old, Shop) else old
            wanted = dataclasses.replace(PROFILE, **profile)
            return asyncio.run(gate(stack.enter_context(opened(new)), CONFIG, wanted, baseline=baseline))

        yield compared


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is quick services that are told apart here."""
    monkeypatch.setattr("monitor.gate.pairs.PAIRS", 40)


def found(report: Report) -> Result:
    return next(each for each in report.results if each.check == "regression")


def test_what_is_no_slower_passes_and_both_accounts_are_deleted(compare: Compare) -> None:
    new, old = Shop(), Shop(SLOWER)
    report = compare(new, old)
    assert (report.exit(), found(report).verdict) == (Exit.PASS, Verdict.PASS), found(report)
    for shop in (new, old):
        assert (shop.registered, shop.deleted) == (1, 1)
        assert shop.heard.count("/me") == 41
    assert [(each.what, len(each.seconds) > 30) for each in report.timed] == [(each, True) for each in KINDS]
    assert "on the baseline: the account is deleted again" in report.results[-1].said


def test_one_slow_route_is_named(compare: Compare) -> None:
    report = compare(Shop({"/list": 0.02}), Shop({"/me": 0.005}))
    assert report.exit() is Exit.FAIL
    assert "GET /list: " in found(report).said
    assert "GET /me: " not in found(report).said
    assert found(report).asked
    assert {each.what for each in found(report).asked} == {"GET /list"}


def test_what_fails_more_often_is_worse(compare: Compare) -> None:
    report = compare(Shop(wrong={"/me": 500}), Shop())
    assert report.exit() is Exit.FAIL
    # On a busy machine a few do not count, as this process stood still.
    assert re.search(r"GET /me: (\d+) of \1 failed, before 0 of \1 ", found(report).said)


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
    report = compare(Shop(), Shop(SLOWER, wrong={"/list": 404}))
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
    with opened(shop) as url:
        report = asyncio.run(gate(url, CONFIG, PROFILE, baseline=Baseline(url)))
    assert found(report).verdict in (Verdict.PASS, Verdict.FAIL)
    assert "the target itself: what differs is chance" in found(report).said
    assert (shop.registered, shop.deleted) == (2, 2)


def test_interrupted_it_deletes_both_accounts() -> None:
    new, old = Shop({"/me": 0.05}), Shop()

    async def stopped(*urls: str) -> Report:
        task = asyncio.create_task(gate(urls[0], CONFIG, PROFILE, baseline=Baseline(urls[1])))
        await eventually(lambda: old.heard.count("/me") > 5)
        task.cancel()
        return await task

    with opened(new) as first, opened(old) as second:
        report = asyncio.run(stopped(first, second))
    assert report.exit() is Exit.INTERRUPTED
    assert [(each.registered, each.deleted) for each in (new, old)] == [(1, 1), (1, 1)]


def earlier(report: Report | None) -> Baseline:
    async def found() -> Report | None:
        return report

    return Baseline(earlier=found)


def test_an_earlier_report_is_a_baseline(compare: Compare, tmp_path: Path) -> None:
    before = load_report(as_json(compare(Shop(SLOWER), earlier(None))))
    assert found(compare(Shop(), earlier(before))).verdict is Verdict.PASS
    slower = compare(Shop({"/list": 0.1}), earlier(before))
    assert (slower.exit(), "GET /list: " in found(slower).said) == (Exit.FAIL, True)
    file = tmp_path / "gate.json"
    file.write_text(as_json(before))
    assert read_report(file).timed == before.timed


def test_without_a_baseline_nothing_passes_and_it_is_shown(compare: Compare) -> None:
    for baseline, said in (
        (None, "nothing to compare with"),
        (
            earlier(None),
            "no baseline yet; if this run passes, it is one; if it cannot, name its report",
        ),
        (earlier(dataclasses.replace(compare(Shop(), None), timed=())), "has no durations in it"),
    ):
        report = compare(Shop(), baseline)
        assert (found(report).verdict, said in found(report).said) == (None, True)
        assert (report.exit(), report.exit("pass")) == (Exit.INCONCLUSIVE, Exit.INCONCLUSIVE)
        assert "no check of this profile was judged" in report.results[-2].said
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
    first = compare(Shop(), earlier(None), checks=("log-in", "regression"))
    good = dataclasses.replace(first, target="http://api")
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


def test_a_pipeline_of_comparisons_alone_gets_under_way_and_compares_with_what_it_stored(
    history: tuple[History, GateConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Interruption, "arm", lambda _: None)
    store, config = history
    file, report = tmp_path / "gate.yml", tmp_path / "report.json"
    file.write_text(
        "version: 1\nrequests: [GET /me, GET /list]\nhistory: {database: '${GATE_HISTORY:-}'}\n"
        "checks: {clean-up: , regression: }\nprofiles: {post-deploy: {checks: [regression]}}\n"
    )

    def ran(url: str, database: str, *others: str) -> tuple[int, str]:
        asked = ("--target", url, "--config", str(file), "--json", str(report), *others)
        done = CliRunner().invoke(app, asked, env={"GATE_HISTORY": database, "COLUMNS": "400"})
        return done.exit_code, done.output

    shop = Shop({path: 2 * slow for path, slow in SLOWER.items()})
    with opened(shop) as url:
        last = (config.database, "--baseline", "last-pass")
        status, said = ran(url, *last)
        assert (status, "no baseline yet" in said, "nothing is known" in said) == (
            3,
            True,
            True,
        ), said
        assert [each.passed for each in runs.since(store.engine, 0)] == [None]
        first, shop.slow = report.rename(tmp_path / "first.json"), SLOWER
        assert ran(url, config.database, "--baseline", str(first))[0] == 0
        assert [each.passed for each in runs.since(store.engine, 0)] == [True, None]
        shop.slow = {}
        assert ran(url, *last, "--no-store")[0] == 0
        assert found(read_report(report)).verdict is Verdict.PASS
        assert len(runs.since(store.engine, 0)) == 2
        (tmp_path / "other.db").write_text("this is no database")
        status, said = ran(url, f"sqlite:///{tmp_path}/other.db")
        assert (status, "This run is not kept: history: " in said) == (3, True), said

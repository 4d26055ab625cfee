"""The release gate on the agent: asked for by hooks, shown on the page, told as metrics."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from monitor.changeover import change
from monitor.gate import runs
from monitor.gate.hook import STRANGERS, Hook
from monitor.gate.model import Report
from monitor.gate.reports import REPORTS
from monitor.storecalls import StoreCalls
from monitor.web import past
from tests.gate.reporting import EVERYTHING, GOOD
from tests.web.asking import anonymous, browser
from tests.web.scenes import HOSTILE, NOW, World, healthy

LEAVES = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
FAILS = "import sys; sys.exit('no profile \\'x\\'')"
HANGS = "import time; time.sleep(60)"


@pytest.fixture
def made(tmp_path: Path) -> World:
    return healthy(tmp_path)


def hooked(made: World, code: str, report: Report = GOOD, longest: float = 20.0) -> Hook:
    """A gate that a little program stands for."""
    url = made.page.config.targets[0].url
    written = made.page.config.path.with_name("left.json")
    written.write_text(REPORTS["json"](replace(report, target=url, began=NOW - 60, ended=NOW - 30)))

    def command(url: str, profile: str, path: Path) -> Sequence[str]:
        return (sys.executable, "-c", code, str(written), str(path), url, profile)

    engine = made.history.engine
    calls, cycle = StoreCalls(engine), made.page.cycle
    targets = lambda: cycle.config.targets  # noqa: E731
    hook = Hook(engine, calls, made.page.metrics, targets, made.clock, command, longest)
    made.page = replace(made.page, gate=hook)
    return hook


async def ended(hook: Hook) -> None:
    assert hook._running is not None
    await hook._running


@pytest.mark.parametrize("path", ["/api/gate", "/api/v1/gate"])
async def test_a_hook_starts_one_and_its_result_is_everywhere(made: World, path: str) -> None:
    hook = hooked(made, LEAVES, EVERYTHING)
    web = browser(made)
    answer = await web.post(path, json={"target": "api"})
    assert (answer.status_code, answer.json()["profile"]) == (202, "post-deploy")
    assert (await web.get("/api/v1/gate")).json()["running"] is True
    again = await web.post(path, json={"target": "api"})
    assert (again.status_code, again.json()["detail"]) == (409, "a gate runs already; one at a time")
    await ended(hook)
    assert hook.error == ""
    made.now += 3
    said = (await web.get("/api/v1/gate")).json()
    [run] = said["runs"]
    assert (run["target"], run["exit"], run["passed"], said["running"]) == ("api", 1, False, False)
    report = await web.get(f"/api/v1/gate/{run['id']}")
    assert report.json()["outcome"] == "fail"
    metrics = generate_latest(made.page.metrics.registry).decode()
    assert 'gate_verdict{profile="post-deploy",target="api"} 0.0' in metrics
    assert 'gate_last_run_timestamp_seconds{profile="post-deploy",target="api"} 1.79574867e+09' in metrics


@pytest.mark.parametrize(
    ("code", "longest", "error"),
    [
        (FAILS, 20.0, "no profile 'x'"),
        ("pass", 20.0, "it ended without a report"),
        (HANGS, 0.2, "killed after 0.2 s"),
        ("import sys; open(sys.argv[2], 'w').write('{}')", 20.0, "not a report of a gate"),
    ],
)
async def test_one_that_leaves_no_report_says_why(made: World, code: str, longest: float, error: str) -> None:
    hook = hooked(made, code, longest=longest)
    web = browser(made)
    assert (await web.post("/api/gate", json={"target": "api"})).status_code == 202
    await ended(hook)
    said = (await web.get("/api/v1/gate")).json()
    assert error in said["error"]
    assert said["runs"] == []


async def test_who_may_not_and_what_makes_no_sense(made: World) -> None:
    hook = hooked(made, HANGS)
    asked = {"target": "api"}
    assert (await anonymous(made).post("/api/gate", json=asked)).status_code == 401
    web = browser(made)
    assert (await web.post("/api/gate", json=asked, headers={"origin": "http://evil"})).status_code == 403
    assert (await web.post("/api/gate", content="target=api")).status_code == 415
    unknown = await web.post("/api/gate", json={"target": "apo"})
    assert (unknown.status_code, "did you mean 'api'" in unknown.json()["detail"]) == (404, True)
    assert (await web.post("/api/gate", json={**asked, "profile": "--help"})).status_code == 422
    assert not hook.busy
    assert (await web.get("/api/v1/gate/99")).status_code == 404
    assert (await web.get(f"/api/v1/gate/{10**30}")).status_code == 404


async def test_stopping_the_agent_ends_the_gate(made: World) -> None:
    hook = hooked(made, HANGS)
    hook.start("api", "post-deploy")
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        await hook.close()
    assert not hook.busy


async def test_the_page_shows_them(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "WITHIN", 60.0)  # on a busy machine a page does without its past
    cycle = made.page.cycle
    targets = [replace(each, url=f"https://{each.name}.example.com") for each in cycle.config.targets]
    change(cycle, replace(cycle.config, targets=tuple(targets)), cycle.objectives)
    unknown = replace(GOOD, target=HOSTILE, results=(), began=NOW - 300, ended=NOW - 200)
    canary = replace(GOOD, target="https://canary.example.com", began=NOW - 200, ended=NOW - 100)
    for each in (replace(EVERYTHING, target="https://db.example.com", began=NOW - 90), canary, unknown):
        runs.add(made.history.engine, each)
    start = (await browser(made).get("/")).text
    assert "Release gate within 7 days" in start
    assert '<a href="/targets/db">db</a>, post-deploy: 2 passed, 3 failed, 2 inconclusive' in start
    assert 'aria-label="report of db, post-deploy, ' in start
    assert "https://canary.example.com, post-deploy: 2 passed" in start
    assert "Nobody knows" in start
    assert "<script>alert" not in start
    target = (await browser(made).get("/targets/db")).text
    assert "post-deploy: 2 passed, 3 failed" in target
    assert "Nobody knows" not in target
    assert "canary" not in target
    assert "2 passed" not in (await browser(made).get("/targets/api")).text
    said = (await browser(made).get("/api/v1/gate")).json()["runs"]
    assert [each["target"] for each in said][:2] == ["db", "https://canary.example.com"]


async def test_what_nobody_knows_is_no_number(made: World) -> None:
    url = made.page.config.targets[0].url
    runs.add(made.history.engine, replace(GOOD, target=url, results=(), began=NOW - 300))
    hook = hooked(made, LEAVES)
    await hook.look()
    metrics = generate_latest(made.page.metrics.registry).decode()
    assert 'gate_verdict{profile="post-deploy",target="api"} NaN' in metrics


def verdicts(made: World) -> dict[tuple[str, str], float]:
    """By target and profile; both metrics have the same series."""
    found: dict[str, dict[tuple[str, str], float]] = {}
    for each in (each for metric in made.page.metrics.registry.collect() for each in metric.samples):
        if each.name.startswith("gate_"):
            by = (each.labels["target"], each.labels["profile"])
            found.setdefault(each.name, {})[by] = each.value
    assert len({frozenset(each) for each in found.values()}) <= 1
    return found.get("gate_verdict", {})


async def test_a_target_that_is_taken_out_takes_its_series_along(made: World) -> None:
    cycle = made.page.cycle
    first = replace(cycle.config.targets[0], url="http://first.example.com")
    others = cycle.config.targets[1:]
    change(cycle, replace(cycle.config, targets=(first, *others)), cycle.objectives)
    for target in cycle.config.targets[:2]:
        runs.add(made.history.engine, replace(GOOD, target=target.url, began=NOW - 90, ended=NOW - 60))
    hook = hooked(made, LEAVES)
    await hook.look()
    assert verdicts(made) == {(each.name, "post-deploy"): 1.0 for each in (first, others[0])}
    change(cycle, replace(cycle.config, targets=others), cycle.objectives)
    assert verdicts(made) == {(others[0].name, "post-deploy"): 1.0}
    with pytest.raises(KeyError):
        hook.start(first.name, "post-deploy")
    added = replace(others[0], name="new", url="http://new.example.com")
    change(cycle, replace(cycle.config, targets=(*others, added)), cycle.objectives)
    hook.start("new", "post-deploy")
    await ended(hook)
    assert hook.targets[-1] == "new"


async def test_what_nobody_watches_is_told_for_a_week(made: World) -> None:
    runs.add(made.history.engine, replace(GOOD, target="http://preview", began=NOW - 90, ended=NOW - 60))
    hook = hooked(made, LEAVES)
    await hook.look()
    assert verdicts(made) == {("http://preview", "post-deploy"): 1.0}
    made.now += STRANGERS
    await hook.look()
    assert verdicts(made) == {}

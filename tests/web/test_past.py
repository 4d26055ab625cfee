"""History on the page: no data is a gap, and a store that is slow or away costs a sentence, no more."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import pytest

from monitor.history import Bar, Point
from monitor.judge import Verdict
from monitor.quantity import parse_threshold
from monitor.web import past as asking
from monitor.web.past import RANGES, Away, Past, Question
from monitor.web.timeline import chart, heartbeat
from tests.servers import eventually
from tests.web.asking import browser
from tests.web.scenes import NOW, World, alert, deployed, happened, healthy, lived

HOUR = RANGES["1h"]
ABOVE = parse_threshold("above 5")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page shows is looked at here, and not how quick this machine is."""
    monkeypatch.setattr(asking, "WITHIN", 30)


def remembering(folder: Path) -> World:
    made = healthy(folder)
    lived(made, "api", down=[(0.5, 0.3)], born=0.1)
    happened(made, alert("target-down", "api", "3", why="connect: refused"), ago=7200, lasted=1800)
    deployed(made, "api", "2.8.1", "2.8.0", 3)
    return made


async def test_bars_incidents_failures_and_deploys_are_on_the_pages(tmp_path: Path) -> None:
    made = remembering(tmp_path)
    web = browser(made)
    start, target = (await web.get("/?range=1h")).text, (await web.get("/targets/api")).text
    for page in (start, target):
        assert "Last 1 hour: 80 % of 60 probes good; 12 failures, most often timeout" in page
        assert re.search(r'href="/incidents/\d+">(api: )?Health checks failed in a row', page)
        assert "Lasted 30\xa0min" in page
        assert "<strong>2.8.1</strong>" in page
    assert "<strong>health: timeout</strong> after 10 s" in target
    assert "no data for 21 h" in target
    assert 'aria-label="24 hours: ' in target


async def test_a_target_without_a_past_has_gaps_and_no_share(tmp_path: Path) -> None:
    page = (await browser(remembering(tmp_path)).get("/targets/db")).text
    assert page.count('aria-label="no data"') == 3
    assert "100 %" not in page.split("Last answer of each check")[0]


async def test_an_incident_has_a_page_with_its_timeline(tmp_path: Path) -> None:
    web = browser(remembering(tmp_path))
    page = (await web.get("/incidents/1")).text
    events = [
        "began: connect: refused",
        "fired: 3 (alert when at least 3)",
        "told pager",
        "told log",
        "resolved",
    ]
    assert [page.index(event) for event in events] == sorted(page.index(event) for event in events)
    assert "Over. Lasted 30\xa0min." in page
    for gone in ("/incidents/999", "/incidents/0"):
        assert (await web.get(gone)).status_code == 404
    assert (await web.get("/incidents/99999999999999999999")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/targets/api", "/status", "/?range=nonsense"])
async def test_while_the_store_is_away_the_present_is_still_shown(tmp_path: Path, path: str) -> None:
    made = remembering(tmp_path)
    made.history.engine.dispose()
    (tmp_path / "agent.db").unlink()
    (tmp_path / "agent.db").mkdir()
    answer = await browser(made).get(path)
    assert answer.status_code == 200
    if path != "/status":
        assert "History is not available: the store refuses" in answer.text
        assert "None." not in answer.text.split("incidents-title")[1].split("</section>")[0]
    incident = await browser(made).get("/incidents/1")
    assert (incident.status_code, "not available" in incident.text) == (503, True)


async def test_a_silent_store_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is answered while the store is still silent; a loop that it held up would answer nothing."""
    monkeypatch.setattr(asking, "WITHIN", 0.3)
    made = remembering(tmp_path)
    asked, speaks, spoke = threading.Event(), threading.Event(), threading.Event()

    def silent(*_: object) -> None:
        asked.set()
        speaks.wait(60)
        spoke.set()

    monkeypatch.setattr(made.page.past._read, "bars", silent)
    web = browser(made)
    page = asyncio.create_task(web.get("/"))
    await eventually(asked.is_set, 30, "the store is asked")
    assert (await web.get("/api/v1/status")).status_code == 200
    answer = await page
    assert not spoke.is_set()
    speaks.set()
    assert "History is not available: the store is slow" in answer.text
    assert "All 3 targets are good" in answer.text


async def test_many_who_ask_the_same_are_one_question_and_an_error_gives_rest(tmp_path: Path) -> None:
    made, asked, now = healthy(tmp_path), list[int](), 0.0
    past = Past(made.history, lambda: now)

    def count() -> int:
        asked.append(1)
        return len(asked)

    question = Question(("count",), 10.0, count)
    assert await asyncio.gather(*(past.answer(question) for _ in range(20))) == [1] * 20
    assert await past.answer(question) == 1
    now = 11.0
    assert await past.answer(question) == 2

    made.history.engine.dispose()
    (tmp_path / "agent.db").unlink()
    (tmp_path / "agent.db").mkdir()
    assert isinstance(await past.answer(past.incident(1)), Away)
    assert isinstance(await past.answer(Question(("other",), 1.0, count)), Away)
    now = 20.0
    assert await past.answer(Question(("other",), 1.0, count)) == 3


def bar(total: int, failures: int = 0, at: float = NOW - 3600, covered: float = 60.0) -> Bar:
    return Bar(at, 60.0, total, failures, 0, covered, 0.04, "timeout" if failures else None, None)


def test_bars_without_data_are_neither_good_nor_bad() -> None:
    drawn = heartbeat([bar(0), bar(0)], HOUR, NOW)
    assert (drawn.good, drawn.bad, drawn.summary, drawn.share) == ("", "", "no data", "no data")
    assert drawn.none.count("M") == 2
    assert drawn.bars[0].text == "02:05 to 02:06 UTC: no data"


def test_a_single_failure_among_thousands_is_seen_and_never_rounded_away() -> None:
    drawn = heartbeat([bar(100_000, 1)], HOUR, NOW)
    assert "v8h-8z" in drawn.bad
    assert drawn.share == "99.999 %"
    assert "1 of 100000 probes failed (timeout)" in drawn.bars[0].text


def test_all_failures_leave_nothing_green() -> None:
    assert heartbeat([bar(4, 4)], HOUR, NOW).good == ""


def test_few_data_make_a_narrow_bar_that_says_so() -> None:
    drawn = heartbeat([bar(1, covered=15.0)], HOUR, NOW)
    assert drawn.good.startswith("M1 0h2v")
    assert "no data for 45 s" in drawn.bars[0].text


def test_no_line_is_drawn_over_what_nobody_knows() -> None:
    def point(minutes_ago: int, value: float | None, worst: Verdict = Verdict.OK) -> Point:
        return Point(NOW - 60 * minutes_ago, value, value, value, worst)

    points = [
        point(50, 1.0),
        point(49, 2.0),
        point(48, None, Verdict.UNKNOWN),
        point(20, 7.0, Verdict.BREACH),
    ]
    drawn = chart(points, ABOVE, HOUR, NOW, [NOW - 600, NOW - 7200])
    assert drawn is not None
    assert drawn.line.count("M") == 2
    assert drawn.broken.count("M") == 1
    assert drawn.marks == (200.0,)
    assert drawn.summary == "1 hour: 1 to 7, broken in 1 step of 1 min"
    assert 0 < drawn.limit < 48
    infinite = Point(NOW, float("inf"), float("inf"), float("inf"), Verdict.BREACH)
    assert chart([infinite, point(3, None)], ABOVE, HOUR, NOW) is None

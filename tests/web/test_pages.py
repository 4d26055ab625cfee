"""What the pages say, read as text: what is broken first, and UNKNOWN as neither good nor bad."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from monitor.web import create_web
from monitor.web.standing import Standing
from monitor.web.view import overview
from monitor.web.words import Moment, plain, roughly, tied, timed
from tests.web.scenes import (
    HOSTILE,
    NOW,
    SCENES,
    World,
    faulty,
    forty,
    healthy,
    incident,
    long_names,
    measured,
    without_data,
)
from tests.web.troubles import TROUBLES, family, flapping, in_trouble


async def got(made: World, path: str = "/") -> httpx.Response:
    transport = httpx.ASGITransport(create_web(made.page), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as web:
        return await web.get(path)


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


async def test_what_is_broken_comes_first_in_words(tmp_path: Path) -> None:
    page = (await got(incident(tmp_path))).text
    said = text(page)
    assert said.index("2 pages open on api") < said.index("Server errors (5xx / all requests)")
    assert "7.08 % alert when above 5 %" in said
    assert "64 of 904 requests in the last 5 min" in said
    assert "24 min ago" in said
    assert 'href="/runbooks/error-rate"' in page
    assert "pages in 3 min unless it ends" in said
    assert page.index('id="target-api"') < page.index('id="target-worker"')
    assert "<title>(2) 2 pages open on api" in page


async def test_all_is_well_in_one_sentence(tmp_path: Path) -> None:
    assert "All 3 targets are good" in text((await got(healthy(tmp_path))).text)


def test_unknown_is_neither_good_nor_broken(tmp_path: Path) -> None:
    view = overview(incident(tmp_path).page.snapshot())
    standing = {target.name: target.standing for target in view.targets}
    assert standing == {
        "api": Standing.BROKEN,
        "db": Standing.PENDING,
        "web": Standing.UNKNOWN,
        "worker": Standing.GOOD,
    }
    worker = next(target for target in view.targets if target.name == "worker")
    assert worker.counts == "2 unknown, 16 good"


async def test_nothing_measured_is_not_good(tmp_path: Path) -> None:
    said = text((await got(without_data(tmp_path))).text)
    assert "Not known: api, db" in said
    assert "Not probed yet" in said
    assert "Good" not in said


async def test_an_agent_that_stopped_looking_says_so_and_shows_nothing_as_good(tmp_path: Path) -> None:
    made = faulty(tmp_path)
    said = text((await got(made)).text)
    assert "The agent itself has a fault: nothing below can be trusted" in said
    assert "no cycle has ended well for 600 s" in said
    assert "not judged for 10 min" in said
    assert not re.search(r"\bgood\b", said, re.IGNORECASE)
    status = (await got(made, "/api/v1/status")).json()
    assert {each["verdict"] for each in status["objectives"]} == {"UNKNOWN"}


async def test_one_cause_is_one_page_and_names_what_it_explains(tmp_path: Path) -> None:
    page = (await got(family(tmp_path))).text
    said = text(page)
    assert "1 page open on db. Nobody is told of billing, orders" in said
    assert "<title>(1) 1 page" in page
    assert "Explains billing: Server errors (5xx / all requests)" in said
    assert page.index("alert-target-down-db") < page.index("alert-error-rate-billing")
    assert said.count("Nobody is told: explained by db") == 2


async def test_who_looks_after_it_is_said_first_and_maintenance_is_no_page(tmp_path: Path) -> None:
    made = flapping(tmp_path)
    said = text((await got(made)).text)
    assert "1 page open on api, acknowledged. Nobody is told of batch" in said
    assert "ann looks after it: rolling back to 2.8.0" in said
    assert "Flapping for 25 min" in said
    made.page.cycle.alerting.keep(lambda key: key.target != "api")
    assert overview(made.page.snapshot()).headline == "Broken, but nobody is told: batch"


async def test_the_agents_own_troubles_are_not_a_targets(tmp_path: Path) -> None:
    said = text((await got(in_trouble(tmp_path))).text)
    assert "1 page open on the agent itself" in said
    assert "none since the agent started" not in said
    assert "monitor.yml was changed at 03:01:10 UTC, not in force" in said


async def test_who_asks_to_wait_has_not_failed(tmp_path: Path) -> None:
    said = text((await got(incident(tmp_path))).text)
    assert "The health check was asked to wait: 429 Too Many Requests" in said


def test_a_target_whose_turn_never_comes_is_unknown_though_others_are_measured(tmp_path: Path) -> None:
    made = healthy(tmp_path)
    measured(made, "db", at=NOW - 95)
    standing = {target.name: target.standing for target in overview(made.page.snapshot()).targets}
    assert standing == {"api": Standing.GOOD, "db": Standing.UNKNOWN, "web": Standing.GOOD}


async def test_what_a_target_said_is_text_and_short(tmp_path: Path) -> None:
    page = (await got(long_names(tmp_path))).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page)
    assert "␛[31m" in page
    assert "AAAAAAAAAA" in page
    assert "A" * 400 not in page
    assert len(page) < 60_000


@pytest.mark.parametrize("scene", [*SCENES, *TROUBLES])
async def test_no_page_holds_what_its_own_policy_forbids(scene: str, tmp_path: Path) -> None:
    page = (await got({**SCENES, **TROUBLES}[scene](tmp_path))).text
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:|<script(?! src)", page)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


async def test_forty_targets_stay_small_and_the_broken_one_is_on_top(tmp_path: Path) -> None:
    page = (await got(forty(tmp_path))).text
    assert page.index('id="target-service-17"') < page.index('id="target-service-00"')
    assert len(page) < 900_000


async def test_programs_get_json_when_it_fails(tmp_path: Path) -> None:
    answer = await got(healthy(tmp_path), "/api/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_numbers_keep_their_units() -> None:
    assert tied("7 % of 3 dogs, 2 h 5 min ago") == "7\xa0% of 3 dogs, 2\xa0h 5\xa0min\xa0ago"


def test_text_of_strangers() -> None:
    assert plain("a\nb\tc") == "a b c"
    assert plain("\x1b[0m\x00\x7f\ud800") == "␛[0m␀\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert plain("x" * 400, 300) == "x" * 300 + "… (400 characters)"
    assert len(plain(HOSTILE)) < 350


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "under 1 s"),
        (47.9, "47 s"),
        (119, "1 min 50 s"),
        (1445, "24 min"),
        (8099, "2 h 14 min"),
        (273_700, "3 d 4 h"),
        (float("inf"), "for ever"),
    ],
)
def test_durations_are_short(seconds: float, said: str) -> None:
    assert roughly(seconds) == said


def test_times() -> None:
    assert (Moment(NOW, NOW).utc, Moment(NOW, NOW).iso) == ("03:05", "2026-11-27T03:05:00Z")
    assert Moment(NOW - 86_400, NOW).utc == "26 Nov 03:05"
    assert (Moment(NOW - 60, NOW).ago, Moment(NOW + 60, NOW).ago) == ("1 min ago", "in 1 min")
    assert Moment(1e20, NOW).utc == "01 Jan 00:00"


@pytest.mark.parametrize(
    ("sentence", "pieces"),
    [
        ("41 ms at 02:40:40 UTC, 24 min ago", ["41 ms at ", Moment(NOW - 1460, NOW), ", 24 min ago"]),
        ("since 2026-11-26 03:05:00 UTC", ["since ", Moment(NOW - 86_400, NOW), ""]),
        ("03:05 UTC to 03:05 UTC", ["", Moment(NOW, NOW), " to ", Moment(NOW, NOW), ""]),
        ("from 2026-02-30 03:05 UTC, 25:00 UTC or 03:05", ["from 2026-02-30 03:05 UTC, 25:00 UTC or 03:05"]),
        ("", [""]),
    ],
)
def test_times_in_a_sentence(sentence: str, pieces: list[str | Moment]) -> None:
    assert timed(sentence, NOW) == pieces

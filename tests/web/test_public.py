"""The status view and the badges: open when that is wanted, and without internals."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from monitor.web import create_web
from monitor.web.badges import svg
from monitor.web.public import PublicTarget
from monitor.web.standing import Standing
from monitor.webconfig import WebConfig
from tests.web.asking import browser
from tests.web.scenes import HASHED, World, faulty, healthy, incident


def stranger(made: World) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_web(made.page), client=("203.0.113.9", 1))
    return httpx.AsyncClient(transport=transport, base_url="http://status.example")


OPEN = WebConfig(users={"ann": HASHED}, public_status=True)


async def test_it_is_open_to_strangers_only_when_that_is_wanted(tmp_path: Path) -> None:
    for path in ("/status", "/badge/api.svg"):
        assert (await stranger(healthy(tmp_path)).get(path)).status_code == 401
        assert (await stranger(healthy(tmp_path, OPEN)).get(path)).status_code == 200
    web = stranger(healthy(tmp_path, OPEN))
    closed = (
        "/",
        "/targets/api",
        "/api/v1/status",
        "/api/v1/events",
        "/metrics",
        "/-/healthy",
        "/runbooks/no-data",
        "/thresholds",
    )
    assert [(await web.get(path)).status_code for path in closed] == [401] * len(closed)


async def test_it_says_whether_it_works_and_nothing_of_how_it_is_made(tmp_path: Path) -> None:
    page = (await stranger(incident(tmp_path, OPEN)).get("/status")).text
    assert "1 service is disrupted" in page
    for internal in (
        "5xx",
        "7.08",
        "requests",
        "127.0.0.1",
        "pool",
        "Paciolus",
        "runbook",
        "/targets",
        "ann",
        "/metrics",
    ):
        assert internal not in page, internal


async def test_an_agent_that_stopped_looking_knows_nothing_there_either(tmp_path: Path) -> None:
    page = (await browser(faulty(tmp_path)).get("/status")).text
    assert "Working" not in page
    assert page.count("Not known") >= 3


@pytest.mark.parametrize(("name", "word"), [("api", "disrupted"), ("db", "working"), ("web", "not known")])
async def test_badges(tmp_path: Path, name: str, word: str) -> None:
    answer = await browser(incident(tmp_path)).get(f"/badge/{name}.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    drawn = ElementTree.fromstring(answer.text)
    assert drawn.get("aria-label") == f"{name}: {word}"
    assert drawn.find("{http://www.w3.org/2000/svg}title").text == f"{name}: {word}"  # type: ignore[union-attr]


async def test_no_badge_for_what_is_not_watched(tmp_path: Path) -> None:
    answer = await browser(healthy(tmp_path)).get("/badge/%3Cscript%3E.svg")
    assert answer.status_code == 404
    assert "<script" not in answer.text
    ElementTree.fromstring(answer.text)


def test_a_badges_text_fits_its_box() -> None:
    drawn = svg(PublicTarget('a"b&<c>', Standing.GOOD, "Working"))
    ElementTree.fromstring(drawn)
    whole = int(re.findall(r'width="(\d+)"', drawn)[0])
    assert sum(map(int, re.findall(r'textLength="(\d+)"', drawn))) + 24 == whole

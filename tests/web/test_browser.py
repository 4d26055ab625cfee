"""The pages in a real browser: nothing their policy forbids, nothing too small to tap or unreadable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from monitor.alerting import Key
from tests.web.scenes import (
    NOW,
    PASSWORD,
    SCENES,
    World,
    alert,
    happened,
    incident,
    lived,
    measured,
    reading,
    stand,
)
from tests.web.serving import served
from tests.web.troubles import TROUBLES

pytestmark = pytest.mark.slow

PHONE, DESK = {"width": 375, "height": 812}, {"width": 1440, "height": 900}
SMALL = """
() => [...document.querySelectorAll("a.button, button, summary, nav a, input:not([type=hidden]), select")]
  .filter(each => each.checkVisibility())
  .map(each => [each.textContent.trim() || each.name, each.getBoundingClientRect()])
  .filter(([_, box]) => box.height < 44 || box.width < 40)
  .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)
"""
SHIFTS = """
() => { window.shifted = 0; new PerformanceObserver(list => {
  for (const each of list.getEntries()) window.shifted += each.value;
}).observe({type: "layout-shift"}); }
"""
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Pages whose console must stay empty: Chromium reports there what a policy refuses."""
    said: list[str] = []
    contexts = []

    def open_page(viewport: dict[str, int] = PHONE, scheme: str = "dark", **options: Any) -> Page:
        context = browser.new_context(
            viewport=viewport,  # type: ignore[arg-type]
            color_scheme=scheme,  # type: ignore[arg-type]
            timezone_id="Europe/Zurich",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda each: said.append(each.text) if complains(each) else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in said if "net::ERR_" not in each] == []  # a server that is gone


def complains(message: ConsoleMessage) -> bool:
    """A server that is about to go takes no new listener, and a page that is still open asks."""
    going = "503" in message.text and message.location["url"].endswith("/events")
    return message.type in ("error", "warning") and not going


ANN = {"username": "ann", "password": PASSWORD}


def sign_in(page: Page, url: str, path: str = "/") -> None:
    """A real 401 comes first, which Chromium writes to its console; then the page that was asked for."""
    page.goto(f"{url}/sign-in?back={path}")


@pytest.fixture
def story(tmp_path: Path) -> World:
    """An incident with as little of a past as has everything in it."""
    made = incident(tmp_path)
    lived(made, "api", down=[(0.5, 0.3)], born=0.2)
    happened(made, alert("error-rate", "api", "7.08 %"), ago=1440, lasted=1e9)
    happened(made, alert("target-down", "api", "3", why="connect: refused"), ago=7200, lasted=1800)
    made.quiet.add_silence(author="bob", reason="index", ends_at=NOW + 3600, now=NOW, target="worker")
    return made


@pytest.mark.parametrize("scene", [*SCENES, "flapping"])
def test_every_scene_fits_a_phone_and_its_own_policy(scene: str, tmp_path: Path, opened: Open) -> None:
    made = {**SCENES, **TROUBLES}[scene](tmp_path)
    with served(made.page) as url:
        page = opened({"width": 320, "height": 700})
        page.clock.set_fixed_time(NOW + 7 * 86400)  # so that all times need their day, too
        for path in ("/", f"/targets/{made.page.config.targets[0].name}", "/status"):
            page.goto(url + path)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, path
            assert page.evaluate(SMALL) == []


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [
        (PHONE, "dark"),
        (DESK, "light"),
        pytest.param(PHONE, "light", marks=pytest.mark.nightly),
        pytest.param(DESK, "dark", marks=pytest.mark.nightly),
    ],
)
def test_nothing_is_unreadable_or_without_a_name(
    viewport: dict[str, int], scheme: str, story: World, opened: Open
) -> None:
    paths = ("/", "/targets/api", "/incidents/1", "/status", "/runbooks/error-rate")
    with served(story.page) as url:
        page = opened(viewport, scheme, http_credentials=ANN)
        sign_in(page, url)
        for path in paths if (viewport, scheme) == (PHONE, "dark") else paths[:1]:
            page.goto(url + path)
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            found = Axe().run(page, options=AXE)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
            assert page.evaluate(SMALL) == []
            levels = page.evaluate(
                "[...document.querySelectorAll('h1, h2, h3')].map(each => +each.tagName[1])"
            )
            assert levels[0] == 1
            assert all(after - before <= 1 for before, after in pairwise(levels))


def test_times_are_the_readers_own_with_utc_at_hand(story: World, opened: Open) -> None:
    rate = story.page.cycle.objectives.by_name("error-rate")
    story.page.cycle.facts.observe("api", [], [reading(rate, "api", 0.0007, NOW - 1460)], NOW - 1460)
    with served(story.page) as url:
        page = opened()
        page.goto(url)
        assert page.inner_text("#headline time").endswith("04:05 (03:05 UTC)")
        facts = page.inner_text("#alert-error-rate-api-metrics dl").replace("\xa0", " ")
        assert re.search(r"0.07 % at (Nov 27 )?03:40 \(02:40 UTC\), 24 min 20 s ago", facts)
        assert "Europe/Zurich" in page.inner_text("footer")


def test_a_change_arrives_by_itself_and_what_somebody_writes_stays(story: World, opened: Open) -> None:
    with served(story.page) as url:
        page = opened(http_credentials=ANN)
        sign_in(page, url)
        page.click("#silence-error-rate-api-metrics summary")
        field = page.locator("#reason-for-error-rate-api-metrics")
        field.fill("half a sen")
        stand(story, alert("target-down", "web", "3"))
        story.page.changes.rise()
        page.locator("h1", has_text="3 pages open").wait_for()
        assert field.input_value() == "half a sen"
        assert page.title().startswith("(3)")
        field.blur()
        story.page.changes.rise()
        page.locator("#alert-target-down-web-health").wait_for()


def test_new_numbers_move_nothing(story: World, opened: Open) -> None:
    with served(story.page) as url:
        page = opened()
        page.goto(url)
        page.evaluate(SHIFTS)
        before = page.locator("h2").last.bounding_box()
        measured(story, "api", {"error-rate": 0.0911, "latency-p95": 4.11})
        standing = story.page.cycle.alerting.alerts[Key("error-rate", "api", "metrics")]
        story.page.cycle.alerting._standing["api"][standing.key] = replace(standing, value="9.11 %")
        story.page.changes.rise()
        page.locator(".figure", has_text="9.11 %").wait_for()
        assert page.evaluate("window.shifted") == 0
        assert page.locator("h2").last.bounding_box() == before


def test_an_agent_that_is_gone_is_said_to_be(story: World, opened: Open) -> None:
    with served(story.page) as url:
        page = opened()
        page.goto(url)
        page.route("**/*", lambda route: route.abort())
        page.evaluate("refresh()")
        page.locator("#live", has_text="Not updating").wait_for()


def test_without_scripts_everything_can_be_done(story: World, opened: Open) -> None:
    with served(story.page) as url:
        page = opened(http_credentials=ANN, java_script_enabled=False)
        sign_in(page, url)
        assert "03:05 UTC" in page.inner_text("#headline")
        page.click("[id^=acknowledge-] summary")
        page.click("[id^=acknowledge-] form button")
        assert "Acknowledged." in page.inner_text(".done")
        key = story.page.cycle.dispatch.conversations[Key("error-rate", "api", "metrics")].dedup_key
        found = story.quiet.acknowledged(key, NOW)
        assert found
        assert (found.author, found.reason) == ("ann", "I look after it")


def test_a_silence_from_the_link_in_a_page(story: World, opened: Open) -> None:
    with served(story.page) as url:
        page = opened(http_credentials=ANN)
        sign_in(page, url, "/targets/api#silence")
        page.click("#silence-new summary")
        page.fill("#reason-new", "deploy")
        page.select_option("#lasts-new", "4h")
        page.click("#silence-new form button")
        page.wait_for_url("**/targets/api?done=silenced")
        assert [each.ends_at for each in story.quiet.silences(NOW) if each.target == "api"] == [
            NOW + 4 * 3600
        ]
        assert "deploy" in page.inner_text("#quiet")


def test_the_keyboard_reaches_what_matters(story: World, opened: Open) -> None:
    with served(story.page) as url:
        page = opened(DESK)
        page.goto(url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "api"
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert ring == "solid"

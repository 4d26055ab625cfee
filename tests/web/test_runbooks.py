"""Runbooks on the agent's page: every link leads somewhere, and to nothing that is not meant for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from monitor.objectives import Objectives
from monitor.resources import resource
from monitor.web.runbooks import html
from tests.web.asking import browser
from tests.web.scenes import OBJECTIVES, healthy, world
from tests.web.serving import served

FOLDER = resource("docs", "runbooks")
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.md"))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Somebody on the agent's own machine."""
    with (
        served(healthy(tmp_path_factory.mktemp("runbooks")).page) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20) as client,
    ):
        yield client


def links_on(page: str) -> list[str]:
    article = page.partition("<article")[2].partition("</article>")[0]
    return re.findall(r'<a href="([^"]*)"', article)


@pytest.mark.parametrize("path", [*(f"/runbooks/{name}" for name in SHIPPED), "/thresholds"])
def test_every_link_of_every_runbook_leads_somewhere(web: httpx.Client, path: str) -> None:
    page = web.get(path)
    assert (page.status_code, "<h1>" in page.text) == (200, True)
    links = links_on(page.text)
    for link in links:
        assert link.startswith(("https://", "http://")) or web.get(link).status_code == 200, link
    source = FOLDER / f"{path.rpartition('/')[2]}.md"
    if source.exists():
        assert len(links) == len(re.findall(r"\]\([^)]+\)", source.read_text())), "a link became plain text"
    else:
        assert len(links) == len(OBJECTIVES)


def objectives_with(folder: Path, runbook: str) -> Objectives:
    first = replace(OBJECTIVES.entries[0], runbook=runbook)
    return replace(OBJECTIVES, entries=(first, *OBJECTIVES.entries[1:]), path=folder / "objectives.yml")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[p](ours.md)", '<a href="/runbooks/ours">p</a>'),
        ("[p](error-rate.md#now)", '<a href="/runbooks/error-rate#now">p</a>'),
        ("[p](../../docs/runbooks/watchdog.md)", '<a href="/runbooks/watchdog">p</a>'),
        ("[p](../thresholds.md)", '<a href="/thresholds">p</a>'),
        ("[p](https://example.com/x.md)", '<a href="https://example.com/x.md">p</a>'),
        ("[p](#now)", '<a href="#now">p</a>'),
        ("[**p** q](../secret%20file.md) r", "<strong>p</strong> q (../secret file.md) r"),
        ("[p](../../monitor.yml)", "p (../../monitor.yml)"),
        ("[p](../a&b.md)", "p (../a&amp;b.md)"),
        ("[p](<http://[[::1]>)", "p (http://[[::1])"),
        ("[p](javascript:alert)", "[p](javascript:alert)"),
    ],
)
def test_where_a_link_leads(tmp_path: Path, written: str, shown: str) -> None:
    (tmp_path / "ours.md").touch()
    assert html(objectives_with(tmp_path, "ours.md"), written) == f"<p>{shown}</p>\n"


async def test_an_own_runbook_stands_before_one_that_is_shipped(tmp_path: Path) -> None:
    (tmp_path / "error-rate.md").write_text("# Ours\n")
    web = browser(world(tmp_path, objectives=objectives_with(tmp_path, "error-rate.md")))
    assert "<h1>Ours</h1>" in (await web.get("/runbooks/error-rate")).text
    thresholds = (await web.get("/thresholds")).text
    assert f"<code>{tmp_path}/objectives.yml</code>" in thresholds


@pytest.mark.parametrize("name", ["nothing", "..%2f..%2fREADME", "README", "%2e%2e", "running", "thresholds"])
async def test_other_files_are_not_found(tmp_path: Path, name: str) -> None:
    assert (await browser(healthy(tmp_path)).get(f"/runbooks/{name}")).status_code == 404

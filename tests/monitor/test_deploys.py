"""Versions that come, roll over and back, and what a page says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporters.sample import Sample, labels
from monitor.deploys import BUILD_INFO, MOST_AN_HOUR, Deploys, stored
from monitor.history import Deploy, Entry, History
from monitor.notify.facts import FactBook
from tests.monitor.making import FIRING


def build(version: str, **others: str) -> Sample:
    return Sample(BUILD_INFO, labels(version=version, **others), 1.0)


def watched(*versions: str, every: float = 30.0) -> tuple[Deploys, list[tuple[float, str, str]]]:
    """Looks at a target that answers with these versions in turn ("a b": two at once); what was noted."""
    deploys, noted = Deploys(), []
    for number, version in enumerate(versions):
        found = deploys.observe("api", map(build, version.split()), number * every)
        noted += [(each.at, each.version, each.before) for each in found]
    return deploys, noted


def test_a_deploy_is_a_version_that_was_not_there() -> None:
    deploys, noted = watched("1", "1", "1", "2", "2")
    assert noted == [(0.0, "1", ""), (90.0, "2", "1")]
    assert deploys.latest("api") == Deploy(90.0, "api", "2", "", "", "1")
    assert deploys.latest("web") is None


def test_a_deploy_that_rolls_over_the_instances_is_one() -> None:
    assert watched("1", "2", "1", "2", "1", "2", "2", "2")[1] == [(0.0, "1", ""), (30.0, "2", "1")]
    assert watched("1", "1 2", "1 2", "2", "2")[1] == [(0.0, "1", ""), (30.0, "2", "1")]


def test_a_roll_back_is_one_too_once_it_is_sure() -> None:
    assert watched("1", "2", *["1"] * 12)[1] == [(0.0, "1", ""), (30.0, "2", "1"), (60.0, "1", "2")]


def test_a_scrape_that_fails_says_nothing_of_versions() -> None:
    assert watched("1", "", "", "1")[1] == [(0.0, "1", "")]


def test_a_label_that_changes_with_every_look_is_bounded() -> None:
    assert len(watched(*map(str, range(100)))[1]) == MOST_AN_HOUR


def test_it_knows_after_a_restart() -> None:
    deploys = Deploys()
    deploys.restore([Deploy(5.0, "api", "1", "", "", ""), Deploy(9.0, "api", "2", "c", "main", "1")], 100.0)
    assert deploys.observe("api", [build("2", commit="c", branch="main")], 130.0) == ()
    [rolled_back] = deploys.observe("api", [build("1")], 160.0)
    assert (rolled_back.version, rolled_back.before) == ("1", "2")


@pytest.mark.parametrize("which", ["sqlite", "postgresql"])
def test_it_is_stored_with_the_cycle_that_saw_it(which: str, request: pytest.FixtureRequest) -> None:
    postgres = which == "postgresql"
    url = (
        request.getfixturevalue("postgres_url")
        if postgres
        else f"sqlite:///{request.getfixturevalue('tmp_path')}/h.db"
    )
    store = History(url)
    store.create()
    first, second = Deploy(5.0, "api", "1\0", "", "", ""), Deploy(9.0, "web", "2", "c", "main", "1")
    store.record([Entry(9.0, (), (), (), "api", (), deploys=(second, first))])
    kept = first._replace(version="1\N{REPLACEMENT CHARACTER}")
    assert stored(store.engine) == [kept, second]
    assert stored(store.engine, since=6.0) == [second]
    assert stored(store.engine, target="api") == [kept]
    store.close()


def test_a_page_says_how_long_before_the_fault_it_was() -> None:
    book = FactBook()
    alert = replace(FIRING, since=190.0)
    book.deploys.observe("api", [build("1")], 0.0)
    assert book.about(alert, 200.0).deploy == "1, no other is known"
    book.deploys.observe("api", [build("2", commit="0123456789abcdef")], 70.0)
    said = "2, commit 0123456789ab, in place of 1, since 00:01:10 UTC, 2 min before it began"
    assert book.about(alert, 200.0).deploy == said
    assert book.about(replace(alert, since=10.0), 200.0).deploy.endswith("1 min after it began")


def test_a_version_cannot_change_the_text_around_it() -> None:
    deploys = Deploys()
    [found] = deploys.observe("api", [build("1\n\u202e2\x1b[2J")], 0.0)
    assert found.version == "1\ufffd\ufffd2\ufffd[2J"

"""Waivers: owner, reason, expiry; in a file that people write too."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.asking import RefusedError
from monitor.gate.model import Exit
from monitor.gate.waivers import load_waivers, parse_expiry, waive, waived
from monitor.yamlfile import ConfigError
from tests.gate.reporting import BEGAN, ERRORS, LOG_IN, P95, report

CHECKS = ("latency-p95", "error-rate", "cors-origins")
BY_HAND = """\
# ours
version: 1
waivers:
  # the report of October
  - check: latency-p95
    owner: ann
    reason: >
      the report of October runs,
      and will be faster
    expires: 2026-12-15
  # not before the frontend has moved
  - check: cors-origins
    owner: bob
    reason: old frontend
    expires: 2026-11-01 08:00

# the end
"""
GIVEN = {"check": "error-rate", "owner": "eve", "reason": 'said: "no" # 2', "expires": "14d"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gate-waivers.yml"


def test_no_file_is_no_waiver(path: Path) -> None:
    assert load_waivers(path, CHECKS, BEGAN) == ()


def test_what_is_waived_does_not_block_until_it_expires(path: Path) -> None:
    path.write_text(BY_HAND)
    found = load_waivers(path, CHECKS, BEGAN)
    assert [each.owner for each in found] == ["ann", "bob"]
    assert found[0].expires == parse_expiry("2026-12-16 00:00")
    for now, status in ((BEGAN, Exit.PASS), (found[0].expires - 1, Exit.PASS), (found[0].expires, Exit.FAIL)):
        results = waived((P95, LOG_IN), found, now)
        assert report(*results).exit() is status
    assert waived((LOG_IN,), found, BEGAN) == (LOG_IN,)


def test_a_first_one_makes_the_file(path: Path) -> None:
    made = waive(path, CHECKS, BEGAN + 30, **GIVEN)
    assert load_waivers(path, CHECKS, BEGAN) == (made,)
    assert made.expires == BEGAN + 14 * 86400
    assert made.reason == GIVEN["reason"]
    assert path.read_text().startswith("# Checks of the gate")


def test_one_more_leaves_the_rest_as_it_was(path: Path) -> None:
    path.write_text(BY_HAND)
    made = waive(path, CHECKS, BEGAN, **GIVEN)
    assert load_waivers(path, CHECKS, BEGAN)[2] == made
    text = path.read_text()
    before, _, after = text.partition('  - check: "error-rate"')
    assert before == BY_HAND.partition("\n# the end")[0]
    assert after.endswith("\n\n# the end\n")


def test_a_new_one_takes_the_place_of_the_old(path: Path) -> None:
    path.write_text(BY_HAND)
    made = waive(path, CHECKS, BEGAN, **{**GIVEN, "check": "latency-p95", "expires": "2026-12-24"})
    assert load_waivers(path, CHECKS, BEGAN)[0] == made
    text = path.read_text()
    assert text.count("latency-p95") == 1
    assert "will be faster" not in text
    assert "  # the report of October\n  - check:" in text
    assert "  # not before the frontend has moved\n  - check: cors-origins\n" in text
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"check": "latency-p59"}, "check", "no check 'latency-p59'; did you mean 'latency-p95'"),
        ({"owner": " "}, "owner", "missing; others must be able to tell"),
        ({"reason": "a\nb"}, "reason", "expected one line"),
        ({"expires": "soon"}, "expires", "expected a day such as 2026-12-15"),
        ({"expires": "2026-13-15"}, "expires", "expected a day such as 2026-12-15"),
        ({"expires": "2026-11-01"}, "expires", "expected a time to come"),
        ({"expires": "200d"}, "expires", "expected at most 90 d from now"),
    ],
)
def test_what_is_refused(path: Path, wrong: dict[str, str], field: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message) as refused:
        waive(path, CHECKS, BEGAN, **{**GIVEN, **wrong})
    assert refused.value.field == field
    assert not path.exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "check: cors-origins",
            "check: cors-origin",
            r":12: waivers\[1\].check: .*did you mean 'cors-origins'",
        ),
        ("check: cors-origins", "check: latency-p95", r":12: .*'latency-p95' is waived above already"),
        ("owner: bob", "ower: bob", r":13: waivers\[1\].ower: unknown key; did you mean 'owner'"),
        ("    owner: bob\n", "", r":12: waivers\[1\].owner: missing"),
        ("2026-11-01 08:00", "next week", r":15: waivers\[1\].expires: expected a day such as"),
        ("2026-12-15", "2028-12-15", r":10: waivers\[0\].expires: expected at most 90 d"),
        ("version: 1", "version: 2", r":2: version: expected 1"),
    ],
)
def test_mistakes_in_the_file(path: Path, old: str, new: str, message: str) -> None:
    path.write_text(BY_HAND.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_waivers(path, CHECKS, BEGAN)
    with pytest.raises(ConfigError, match=message):
        waive(path, CHECKS, BEGAN, **GIVEN)


def test_a_form_that_cannot_be_added_to_stays_whole(path: Path) -> None:
    path.write_text("version: 1\nwaivers: []\n")
    with pytest.raises(ConfigError, match="can't be added to"):
        waive(path, CHECKS, BEGAN, **GIVEN)
    assert path.read_text() == "version: 1\nwaivers: []\n"
    path.write_text("version: 1\nwaivers:\n")
    waive(path, CHECKS, BEGAN, **GIVEN)
    assert len(load_waivers(path, CHECKS, BEGAN)) == 1


def test_a_waiver_lets_nothing_through_that_nobody_could_look_at() -> None:
    from dataclasses import replace

    from monitor.gate.model import Cause, Waiver

    let = [Waiver("error-rate", "ann", "why", BEGAN + 60)]
    for cause, status in ((Cause.TARGET_DOWN, Exit.UNREACHABLE), (Cause.SOURCE_ERROR, Exit.ERROR)):
        results = waived((LOG_IN, replace(ERRORS, cause=cause)), let, BEGAN)
        assert report(*results).exit() is status

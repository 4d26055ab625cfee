"""What a page says: gathered from cycles, written as JSON, read back, as text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from exporters.http import Phases, Reason, Result
from exporters.sample import Sample
from monitor.alerting import Alert
from monitor.conversations import Kind
from monitor.judge import Reading, Verdict
from monitor.links import Links, panel_link
from monitor.notify.facts import FactBook, Facts
from monitor.notify.message import page_body, page_json
from monitor.notify.page import PageContent, as_text, parse_page
from monitor.notify.runbooks import first_step
from monitor.objectives import load_objectives
from monitor.probes import OK, Outcome
from monitor.quantity import parse_threshold
from monitor.resources import resource
from tests.monitor.making import FIRING, RESOLVED, objective

OBJECTIVES = load_objectives(resource("alerts", "objectives.yml"))
PANEL = panel_link(OBJECTIVES, OBJECTIVES.by_name("error-rate"))
ANSWERED = Outcome("metrics", OK, "200 in 12 ms", Result(None, "200 in 12 ms", 200), [Sample("m", (), 1.0)])
HANGS = Result(
    Reason.TIMEOUT, "no answer within 10 s", None, Phases(connect=0.001, first_byte=9.99), duration=10.0
)
FULL = Facts(
    at=460.0,
    phase="waiting for the first byte: 9.99 s of 10 s",
    last_good="0.2 % at 00:01:00 UTC, 6 min ago",
    also=("Database pool in use: 96 % (alert when above 80 %)",),
    deploy="2.4.1, commit 3f2a9c1, since 00:00:40 UTC",
    note="ann looks at it",
    links=Links("https://grafana.test", "https://git.test/ops", "https://monitor.test"),
)


def page(alert: Alert = FIRING, facts: Facts = FULL, kind: Kind | None = None) -> PageContent:
    return parse_page(page_json("on-call", kind, alert, "0123456789abcdef", facts, OBJECTIVES))


def reading(name: str, value: float, verdict: Verdict, at: float = 100.0, **changes: Any) -> Reading:
    changes = {"breach": parse_threshold("above 80%"), "title": name} | changes
    return Reading(objective(name, **changes), "api", at, verdict, value, "because")


def test_it_answers_what_one_asks_at_night() -> None:
    assert [tuple(answer) for answer in page().answers] == [
        ("Note", "ann looks at it"),
        ("Value", "7.1 % (alert when above 5 %)"),
        ("Since", "00:01:40 UTC, for 6 min"),
        ("Why", "71 of 1000 requests in the last 5 min"),
        ("Slowest phase", "waiting for the first byte: 9.99 s of 10 s"),
        ("Last good", "0.2 % at 00:01:00 UTC, 6 min ago"),
        ("Also", "Database pool in use: 96 % (alert when above 80 %)"),
        ("Deploy", "2.4.1, commit 3f2a9c1, since 00:00:40 UTC"),
        ("Do first", first_step(FIRING.runbook)),
    ]
    assert [tuple(link) for link in page().links] == [
        ("Runbook", "https://git.test/ops/docs/runbooks/error-rate.md"),
        ("Dashboard", f"https://grafana.test/{PANEL}&from=-1699750&to=now"),
        ("Silence", "https://monitor.test/targets/api#silence"),
    ]
    assert page().silence.startswith("paciolus-monitor silence add --target api --name error-rate --for 1h ")


def test_the_agents_own_page_stands_in_for_grafana_and_for_the_repository() -> None:
    alone = page(facts=replace(FULL, links=Links(page="https://monitor.test")))
    assert [link.text for link in alone.links] == [
        "https://monitor.test/runbooks/error-rate",
        "https://monitor.test/targets/api",
        "https://monitor.test/targets/api#silence",
    ]
    bare = page(facts=replace(FULL, links=Links()))
    assert (list(bare.links), bare.runbook) == ([], "docs/runbooks/error-rate.md")


def test_what_is_over_says_how_long_it_was_and_nothing_of_what_to_do() -> None:
    resolved = page(RESOLVED)
    assert not resolved.firing
    assert resolved.ended == 300.0
    labels = [answer.label for answer in resolved.answers]
    assert labels == ["Note", "Value", "Since", "Now", "Also", "Deploy"]
    assert "Since:         00:01:40 UTC, lasted 3 min 20 s" in as_text(resolved)
    assert resolved.dashboard.endswith("from=-1699750&to=900000")


@pytest.mark.parametrize(
    ("kind", "summary"),
    [
        (Kind.FIRING, "7.1 % (alert when above 5 %)"),
        (Kind.REMINDER, "still 7.1 % after 6 min (alert when above 5 %)"),
        (Kind.ESCALATION, "7.1 % for 6 min, and nobody has acknowledged it (alert when above 5 %)"),
        (Kind.FLAPPING, "comes and goes, now 7.1 % (alert when above 5 %)"),
        (Kind.ACKNOWLEDGED, "acknowledged after 6 min (7.1 %)"),
        (Kind.RESOLVED, "good again after 1 min 0.2 s (7.1 %)"),
    ],
)
def test_each_kind_has_its_line(kind: Kind, summary: str) -> None:
    said = page(kind=kind)
    assert said.summary == f"api: Server errors (5xx / all requests): {summary}"
    assert (said.kind, said.firing) == (kind, kind is not Kind.RESOLVED)
    assert said.headline.startswith(f"{kind.upper()} api: ")


def test_a_body_of_an_older_agent_is_still_read() -> None:
    body = page_body("on-call", None, FIRING, "key", FULL)
    kept = ("summary", "value", "threshold", "reason", "runbook")
    body["alerts"][0]["annotations"] = {name: body["alerts"][0]["annotations"][name] for name in kept}
    old = parse_page(json.dumps(body))
    assert (old.kind, old.at, old.phase, old.also) == (Kind.FIRING, FIRING.since, "", ())
    assert old.runbook == FIRING.runbook
    assert list(old.links) == []


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"alerts": []}', '{"alerts": [1]}', '{"alerts": [{}, {}]}']
)
def test_anything_else_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"not the body|Expecting value"):
        parse_page(body)


def test_what_a_target_says_stays_on_its_line_and_within_bounds() -> None:
    alert = replace(FIRING, reason="boom\r\nBcc: all@example.com\x00\x1b[31m\u2028" + "x" * 10_000)
    said = page(alert)
    assert said.reason.startswith("boom  Bcc: all@example.com  [31m xxx")
    assert len(said.reason) <= 2000
    assert said.reason.endswith("…")


def test_facts_come_from_the_cycles() -> None:
    book = FactBook()
    good = reading("error-rate", 0.02, Verdict.OK)
    memory = reading("memory", 0.5, Verdict.OK)
    book.observe("api", [ANSWERED], [good, memory], 100.0)
    pool = reading("pool", 0.96, Verdict.BREACH, at=400.0)
    memory = reading("memory", 0.7, Verdict.OK, at=400.0)
    bad = reading("error-rate", 0.9, Verdict.BREACH, at=400.0)
    book.observe("api", [ANSWERED], [bad, memory, pool], 400.0)
    assert book.about(FIRING, 400.0) == Facts(
        at=400.0,
        last_good="2 % at 00:01:40 UTC, 5 min ago",
        also=(
            "pool: 96 % (alert when above 80 %)",
            "memory: 70 % (alert when above 80 %), rising: 50 % 5 min ago",
        ),
    )


def test_a_failing_check_says_where_its_time_went_and_when_it_last_answered() -> None:
    book = FactBook()
    book.observe("api", [ANSWERED], [reading("error-rate", 0.02, Verdict.OK)], 100.0)
    hanging = Outcome("metrics", "timeout", HANGS.detail, HANGS, [])
    book.observe("api", [hanging], [], 160.0)
    facts = book.about(FIRING, 160.0)
    assert facts.phase == "waiting for the first byte: 9.99 s of 10 s"
    assert facts.last_good == "200 in 12 ms at 00:01:40 UTC, 1 min ago"
    other = replace(FIRING, key=FIRING.key._replace(check="health", name="target-down"))
    assert book.about(other, 160.0).also == ("metrics check: timeout: no answer within 10 s",)


def test_nothing_is_known_of_a_target_that_was_never_seen() -> None:
    assert FactBook().about(FIRING, 5.0) == Facts(at=5.0)


def test_every_objectives_runbook_says_what_to_do_first() -> None:
    for each in OBJECTIVES:
        step = first_step(each.runbook)
        assert 10 < len(step) < 600, each.runbook
        assert step.isprintable()
    assert first_step("docs/runbooks/error-rate.md").startswith("Released lately: roll back.")
    assert first_step("docs/runbooks/monitor-down.md") == "systemctl status paciolus-monitor"
    assert first_step("docs/runbooks/no-data.md").endswith("paciolus-monitor check $API/health --explain")
    assert first_step("docs/runbooks/pool-usage.md").endswith('WHERE cardinality(pg_blocking_pids(pid)) > 0"')
    assert first_step("https://example.com/runbook") == first_step("nowhere.md") == ""

"""Who is told what, and when, over simulated time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from monitor.alerting import NO_DATA, Key, State
from monitor.conversations import as_json, from_json
from monitor.selector import parse_selector
from monitor.slis import BurnRate
from tests.monitor.dispatching import BEGAN, DOWN, World, config, receiver, world
from tests.monitor.making import objective, target

MINUTE, HOUR = 60.0, 3600.0
DATABASE = Key("target-down", "db", "health")


def family(interval: float = 30.0) -> World:
    """`api` depends on `pool`, which depends on `db`."""
    return world(
        targets=[
            target("db", interval=interval),
            replace(target("pool"), depends_on=("db",)),
            replace(target("api"), depends_on=("pool",)),
        ]
    )


# Routes


def test_the_end_goes_to_those_who_were_told_and_to_nobody_else() -> None:
    told = world(receiver("pager", severities=("page",)), receiver("chat"), receiver("mail"))
    told.people.closed = {"mail"}
    ticket = Key("pool-usage", "api", "metrics")
    told.breaks(ticket, "ticket")
    told.passes(10)
    told.heals(ticket)
    assert told.kinds("chat", ticket) == ["firing", "resolved"]
    assert told.kinds("pager", ticket) == told.kinds("mail", ticket) == []


def test_one_conversation_has_one_key_and_the_next_another() -> None:
    told = world()
    for _ in range(2):
        told.breaks()
        told.passes(MINUTE)
        told.heals()
        told.passes(2 * HOUR)
    first, second = told.heard[:2], told.heard[2:]
    assert len({each.dedup_key for each in first}) == len({each.dedup_key for each in second}) == 1
    assert first[0].dedup_key != second[0].dedup_key


def test_a_receiver_that_is_new_hears_what_still_fires_and_one_that_is_gone_nothing() -> None:
    told = world(receiver("old"))
    told.breaks()
    told.restarts(config([receiver("new")], told.config.targets))
    told.passes(5)
    told.heals()
    assert told.kinds("old") == ["firing"]
    assert told.kinds("new") == ["firing", "resolved"]


def test_what_is_no_longer_watched_is_over_for_those_who_were_told() -> None:
    told = world()
    told.breaks()
    told.restarts(config([receiver("on-call")], [target("other")]))
    told.passes(10)
    assert told.kinds("on-call") == ["firing", "resolved"]
    assert told.heard[-1].alert.reason == "it is no longer watched"


def test_what_an_older_agent_has_told_is_not_told_again() -> None:
    told = world()
    told.breaks()
    told.stored.clear()
    told.restarts()
    told.passes(HOUR)
    told.heals()
    assert told.kinds("on-call") == ["firing", "resolved"]


def test_a_conversation_survives_being_stored() -> None:
    told = world(receiver("on-call", remind_every=60.0))
    told.breaks()
    told.acknowledges()
    told.passes(5)
    assert from_json(as_json(told.conversation())) == told.conversation()


# Withheld


def test_a_silence_that_ends_while_the_alert_fires_is_followed_by_the_alert() -> None:
    told = world()
    told.people.silenced["api"] = "silenced by ann until 12:00 UTC: upgrade"
    told.breaks()
    told.passes(HOUR)
    assert told.kinds("on-call") == []
    assert told.conversation().withheld == "silenced by ann until 12:00 UTC: upgrade"
    told.people.silenced.clear()
    told.passes(5)
    assert told.kinds("on-call") == ["firing"]
    assert "silenced by ann" in told.heard[-1].note


def test_what_begins_and_ends_under_a_silence_is_told_to_nobody() -> None:
    told = world()
    told.people.silenced["api"] = "maintenance: move"
    told.breaks()
    told.passes(MINUTE)
    told.heals()
    told.people.silenced.clear()
    told.passes(HOUR)
    assert told.heard == []


def test_a_silence_holds_back_reminders_but_not_the_end_and_its_own_end_is_a_reminder() -> None:
    told = world(receiver("on-call", remind_every=10 * MINUTE))
    told.breaks()
    told.people.silenced["api"] = "silenced"
    told.passes(HOUR)
    assert told.kinds("on-call") == ["firing"]
    told.people.silenced.clear()
    told.passes(5)
    assert told.kinds("on-call") == ["firing", "reminder"]
    told.people.silenced["api"] = "silenced"
    told.passes(HOUR)
    told.heals()
    assert told.kinds("on-call") == ["firing", "reminder", "resolved"]


@pytest.mark.parametrize("good", [{"good_since": BEGAN}, {"good_results": 1}])
def test_what_is_good_and_only_held_is_not_told_when_a_silence_ends(good: dict[str, Any]) -> None:
    told = world()
    told.people.silenced["api"] = "silenced"
    told.breaks()
    told.standing["api"][DOWN] = replace(told.standing["api"][DOWN], **good)
    told.cycle()
    told.people.silenced.clear()
    told.passes(MINUTE)
    assert told.heard == []


def test_tickets_wait_for_business_hours_and_pages_do_not() -> None:
    told = world()
    told.people.closed = {"on-call"}
    ticket = Key("pool-usage", "api", "metrics")
    told.breaks(ticket, "ticket")
    told.breaks(DOWN, "page")
    told.passes(HOUR)
    assert told.kinds("on-call") == ["firing"]
    assert told.kinds("on-call", ticket) == []
    assert told.conversation(ticket).withheld == "outside the hours of on-call"
    told.people.closed.clear()
    told.passes(5)
    assert told.kinds("on-call", ticket) == ["firing"]


# Flapping


def test_the_third_firing_within_an_hour_is_one_notice_until_it_stays_resolved() -> None:
    told = world()
    for _ in range(6):
        told.breaks()
        told.passes(2 * MINUTE)
        told.heals()
        told.passes(3 * MINUTE)
    assert told.kinds("on-call") == ["firing", "resolved", "firing", "resolved", "flapping"]
    told.passes(13 * MINUTE)
    assert told.kinds("on-call")[-1] == "resolved"
    assert told.heard[-1].dedup_key == told.heard[-2].dedup_key


def test_or_until_it_stays_firing() -> None:
    told = world()
    for _ in range(5):
        told.breaks()
        told.passes(2 * MINUTE)
        told.heals()
        told.passes(MINUTE)
    told.breaks()
    told.passes(14 * MINUTE)
    assert told.kinds("on-call")[-1] == "flapping"
    told.passes(2 * MINUTE)
    assert told.kinds("on-call")[-2:] == ["flapping", "reminder"]
    told.heals()
    assert told.kinds("on-call")[-1] == "resolved"


def test_firings_further_apart_are_three_incidents() -> None:
    told = world()
    for _ in range(4):
        told.breaks()
        told.passes(5 * MINUTE)
        told.heals()
        told.passes(30 * MINUTE)
    assert told.kinds("on-call") == ["firing", "resolved"] * 4


def test_an_alertmanager_hears_every_firing_and_its_end_each_by_its_own_key() -> None:
    told = world(receiver("am", kind="alertmanager", remind_every=60.0), receiver("on-call"))
    for _ in range(5):
        told.breaks()
        assert [each.key for each in told.dispatch.fires_at("am")] == [DOWN]
        told.passes(2 * MINUTE)
        told.heals()
        assert told.dispatch.fires_at("am") == []
        told.passes(MINUTE)
    assert told.kinds("am") == ["firing", "resolved"] * 5
    assert len({each.dedup_key for each in told.heard if each.notifier == "am"}) == 5


def test_an_alertmanager_hears_nothing_of_what_is_silenced_here() -> None:
    told = world(receiver("am", kind="alertmanager"))
    told.people.silenced["api"] = "silenced"
    told.breaks()
    told.passes(MINUTE)
    assert told.dispatch.fires_at("am") == []
    told.people.silenced.clear()
    told.passes(5)
    told.people.silenced["api"] = "silenced"
    told.passes(MINUTE)
    assert [each.key for each in told.dispatch.fires_at("am")] == [DOWN]
    told.heals()
    assert told.kinds("am") == ["firing", "resolved"]


# Reminders, escalation, acknowledgement

LADDER = (
    receiver("on-call", remind_every=30 * MINUTE, escalate_after=20 * MINUTE, escalate_to="second"),
    receiver("second", severities=(), escalate_after=20 * MINUTE, escalate_to="boss"),
    receiver("boss", severities=("info",), escalate_after=20 * MINUTE, escalate_to="am"),
    receiver("am", kind="alertmanager", severities=("info",)),
)


def test_reminders_come_as_often_as_asked_for() -> None:
    told = world(receiver("on-call", remind_every=30 * MINUTE), receiver("chat"))
    told.breaks()
    told.passes(95 * MINUTE)
    assert told.kinds("on-call") == ["firing"] + ["reminder"] * 3
    assert told.kinds("chat") == ["firing"]
    assert told.conversation().reminders == 3


def test_what_nobody_acknowledges_climbs_the_ladder_once() -> None:
    told = world(*LADDER)
    told.breaks()
    told.passes(19 * MINUTE)
    assert told.kinds("second") == []
    told.passes(2 * MINUTE)
    assert (told.kinds("second"), told.kinds("boss")) == (["escalation"], [])
    told.passes(20 * MINUTE)
    assert told.kinds("boss") == ["escalation"]
    told.passes(5 * HOUR, step=60.0)
    told.heals()
    assert told.kinds("second") == told.kinds("boss") == ["escalation", "resolved"]
    assert told.kinds("am") == []


def test_an_acknowledgement_ends_both_and_is_told_itself() -> None:
    told = world(*LADDER)
    told.breaks()
    told.passes(10 * MINUTE)
    told.acknowledges()
    told.passes(5 * HOUR, step=60.0)
    assert told.kinds("on-call") == ["firing", "acknowledged"]
    assert told.heard[-1].note == "by ann: on it"
    assert told.kinds("second") == []
    told.people.acknowledgements.clear()
    told.passes(21 * MINUTE)
    assert told.kinds("second") == ["escalation"]
    told.heals()
    assert told.kinds("on-call")[-2:] == ["reminder", "resolved"]


def test_a_conversation_that_flaps_stays_acknowledged() -> None:
    told = world(receiver("on-call", escalate_after=5 * MINUTE, escalate_to="boss"), receiver("boss"))
    for _ in range(6):
        told.breaks()
        if told.conversation().flapping_since:
            told.acknowledges()
        told.passes(2 * MINUTE)
        told.heals()
        told.passes(2 * MINUTE)
    assert "escalation" not in told.kinds("boss")


# Dependencies


def test_a_child_is_explained_by_its_parent_and_its_page_comes_if_it_outlives_it() -> None:
    told = family()
    told.breaks(DATABASE)
    told.passes(MINUTE)
    told.breaks(DOWN)
    told.passes(MINUTE)
    assert told.kinds("on-call") == []
    assert told.conversation().explained_by == "db"
    assert [alert.key for alert in told.dispatch.explained_by("db")] == [DOWN]
    told.heals(DATABASE)
    told.passes(MINUTE)
    assert told.kinds("on-call") == [], "not judged since"
    told.cycle("api")
    assert told.kinds("on-call") == ["firing"]


def test_a_child_that_heals_with_its_parent_is_told_to_nobody() -> None:
    told = family()
    told.breaks(DATABASE)
    told.breaks(DOWN)
    told.passes(10 * MINUTE)
    told.heals(DATABASE)
    told.heals(DOWN)
    told.passes(HOUR)
    assert (told.kinds("on-call"), told.kinds("on-call", DATABASE)) == ([], ["firing", "resolved"])


def test_a_pending_page_of_the_parent_explains_too_and_a_ticket_does_not() -> None:
    told = family()
    told.breaks(DATABASE, state=State.PENDING)
    told.breaks(DOWN)
    told.passes(5 * MINUTE)
    assert told.kinds("on-call") == []
    told.heals(DATABASE)
    told.breaks(DATABASE, "ticket")
    told.cycle("pool")
    told.passes(1)
    told.cycle("api")
    assert told.kinds("on-call") == ["firing"]


def test_a_child_whose_first_answer_after_the_parents_end_is_good_is_told_to_nobody() -> None:
    told = family()
    told.breaks(DATABASE)
    told.breaks(DOWN)
    told.heals(DATABASE)
    told.cycle("pool")
    told.passes(10)
    told.standing["api"][DOWN] = replace(told.standing["api"][DOWN], good_results=1)
    told.cycle("api")
    told.heals(DOWN)
    assert told.kinds("on-call") == []


def test_what_only_looks_back_explains_no_more_than_it_pages() -> None:
    """After an outage a burn rate is broken for a while, and held."""
    burning = objective(
        "burning", sli=BurnRate(parse_selector("probe_success"), 0.999, 300.0, 4), check="health"
    )
    burn = Key("burning", "db", "health")
    told = World(family().config, (objective("target-down", check="health"), burning))
    told.breaks(burn, state=State.PENDING)
    told.cycle("pool")
    told.breaks(DOWN)
    told.cycle("db")
    told.cycle("pool")
    told.passes(HOUR)
    assert told.kinds("on-call") == ["firing"]


def test_that_nobody_knows_about_a_parent_explains_nothing() -> None:
    told = family()
    told.breaks(Key(NO_DATA, "db", "health"))
    told.breaks(DOWN)
    told.passes(MINUTE)
    told.cycle("db")
    told.cycle("pool")
    assert told.kinds("on-call") == ["firing"]


@pytest.mark.parametrize("sick", [True, False])
def test_a_slower_parent_is_waited_for(sick: bool) -> None:
    told = family(interval=60.0)
    told.cycle("pool")
    told.breaks(DOWN)
    told.passes(10)
    told.cycle("pool")
    assert told.kinds("on-call") == [], "the database has not been looked at"
    told.passes(30)
    told.breaks(DATABASE) if sick else told.cycle("db")
    assert told.kinds("on-call") == ([] if sick else ["firing"])


def test_a_parent_that_fails_and_is_not_yet_down_is_waited_for_but_not_for_ever() -> None:
    told = family()
    told.breaks(DOWN)
    told.cycle("pool")
    told.passes(3)
    told.cycle("pool")
    told.cycle("db", in_doubt=True)
    assert told.kinds("on-call") == []
    told.passes(5 * MINUTE)
    assert told.kinds("on-call") == ["firing"]


def test_a_parent_that_is_never_looked_at_withholds_for_its_interval_and_timeout() -> None:
    told = family()
    told.breaks(DOWN)
    told.passes(2 * MINUTE)
    assert told.kinds("on-call") == ["firing"]


def test_a_parent_that_nobody_sees_any_more_withholds_for_a_quarter_of_an_hour() -> None:
    told = family()
    told.breaks(DATABASE)
    told.breaks(DOWN)
    told.passes(14 * MINUTE)
    assert told.kinds("on-call") == []
    told.passes(2 * MINUTE)
    assert told.kinds("on-call") == ["firing"]


def test_a_restart_between_the_parents_end_and_the_childs_next_judgement_pages_nobody_early() -> None:
    told = family()
    told.breaks(DATABASE)
    told.breaks(DOWN)
    told.passes(MINUTE)
    told.heals(DATABASE)
    told.restarts()
    told.passes(MINUTE)
    assert told.kinds("on-call") == []
    told.cycle("api")
    assert told.kinds("on-call") == ["firing"]

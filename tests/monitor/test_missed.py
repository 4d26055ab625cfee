"""Who never heard how a conversation began hears of no end."""

from __future__ import annotations

import pytest

from monitor.conversations import Kind
from monitor.history import Message
from monitor.notify.facts import Facts
from monitor.notify.message import page_json
from monitor.notify.missed import Missed
from tests.monitor.making import FIRING, RESOLVED


def message(kind: Kind, to: str = "on-call") -> Message:
    alert = RESOLVED if kind is Kind.RESOLVED else FIRING
    return Message(to, "key", page_json(to, kind, alert, "key", Facts(at=200.0)))


@pytest.mark.parametrize("follows", [Kind.RESOLVED, Kind.ACKNOWLEDGED])
def test_what_follows_an_unheard_beginning_is_needless(follows: Kind) -> None:
    missed = Missed()
    missed.given_up(message(Kind.FIRING))
    assert missed.needless(message(follows))
    assert not missed.needless(message(follows, to="boss"))


def test_a_reminder_tells_of_it_as_well() -> None:
    missed = Missed()
    missed.given_up(message(Kind.FIRING))
    assert not missed.needless(message(Kind.REMINDER))
    missed.delivered(message(Kind.REMINDER))
    assert not missed.needless(message(Kind.RESOLVED))


def test_who_heard_of_it_before_hears_the_end_whatever_else_was_given_up() -> None:
    missed = Missed()
    missed.delivered(message(Kind.FIRING))
    missed.given_up(message(Kind.ESCALATION))
    assert not missed.needless(message(Kind.RESOLVED))


def test_a_reminder_that_is_given_up_after_a_restart_hides_no_end() -> None:
    missed = Missed()
    missed.given_up(message(Kind.REMINDER))
    assert not missed.needless(message(Kind.RESOLVED))


def test_what_is_no_page_of_ours_is_never_needless() -> None:
    missed = Missed()
    missed.given_up(Message("on-call", "key", "{}"))
    assert not missed.needless(Message("on-call", "key", "{}"))

"""Each fault of the agent's own that is known here is found by the story that is about it."""

from __future__ import annotations

import pytest

from tests.scenarios.mutants import MUTANTS, finds, stories

FOUND_BY = {
    "repeats need not lie apart": (
        "An outage of less than three seconds never pages, whenever it begins: 2.9 s"
    ),
    "for is ignored": "The pool is full for four minutes: nobody is woken",
    "keep_firing_for is ignored": "The pool is free for a moment and full again: that was not the end",
    "one good answer ends it": "A dead API that answers one probe and dies again is one page",
    "clear is ignored": "The pool is full, then wavers about the limit, then empties: one alert",
    "minimum_samples is ignored": "Three requests in five minutes, and one of them failed: nobody is woken",
    "a counter's new beginning is negative": "A deploy brings errors: one page about errors",
    "429 is a failure": "A 429 slows us down and is never down",
    "missing data is nobody's business": "A 429 for a quarter of an hour: nobody knows, which is said once",
    "inhibition is ignored": (
        "An API that is down explains its own missing numbers: one page, and no notice of missing data"
    ),
    "the agent's own absence is ignored": (
        "What waits for its five minutes begins anew after ten minutes of sleep"
    ),
    "dependencies are ignored": "The database dies and the API with it: one page, about the database",
    "silences are ignored": "A silence that ends during the outage: then it is paged",
    "the end of a silence is nothing": (
        "A silence that begins after the page and ends before the outage: a reminder"
    ),
    "flapping is not seen": "It flaps, and then stays down: that is said, and in the end that it is over",
    "each escalation goes out again": "Nobody answers: the boss is told, once, and hears the end",
    "office hours are ignored": "A ticket at night that is over by morning is nobody's business",
    "Zurich has no summer": (
        "The clock leaves out half past two: maintenance begins at three, and lasts its hour"
    ),
    "a restart forgets what fires": "Killed while it fires: one page, one end",
    "a restart forgets who was told": "Killed while it fires: one page, one end",
    "a restart forgets what is to be sent": (
        "Killed with a page that waits: what the pager could not hear it hears later"
    ),
    "a message is tried once": "The end cannot be delivered: it is, when the pager is back",
    "Retry-After is ignored": "The pager asks for two minutes: it is left alone for two minutes",
    "who never heard hears the end": (
        "A key is refused until somebody puts it right: the end of what was given up is not told"
    ),
}
BY_DEFAULT = (
    "repeats need not lie apart",
    "one good answer ends it",
    "the agent's own absence is ignored",
    "dependencies are ignored",
    "a counter's new beginning is negative",
    "a restart forgets who was told",
)


def test_each_mutant_has_its_story() -> None:
    assert FOUND_BY.keys() == MUTANTS.keys()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_what_it_changes_is_there(mutant: str) -> None:
    with MUTANTS[mutant]():
        pass


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(each, marks=[] if each in BY_DEFAULT else [pytest.mark.nightly]) for each in FOUND_BY],
)
def test_its_story_finds_it(mutant: str) -> None:
    [story] = [each for each in stories() if each.name == FOUND_BY[mutant]]
    assert finds(mutant, story)

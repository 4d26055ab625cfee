"""Writes docs/scenarios.md from the stories: `python -m tests.scenarios.document`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

PAGE = Path("docs/scenarios.md")
HEAD = """\
# What on-call may rely on

Histories that are played through the real agent in simulated time (`tests/scenarios`): its schedule,
confirmations, alerts, conversations, outbox and SQLite store, with the objectives as shipped. Only the
network is made up. Each names all that anybody should hear, and when; anything else, twice, too late, or
an end without a beginning, fails. `make test ARGS="tests/scenarios -s"` plays each once, `make nightly`
at all its intervals and phases. Days of outages at random are held against an oracle that knows
[the](adr/0017-confirmed-within-seconds.md) [rules](adr/0019-who-is-told.md) and not the agent. `python
-m tests.scenarios.mutants` shows which faults of the agent's own the histories find.

Written by `python -m tests.scenarios.document`.
"""


def text() -> str:
    return "\n".join([HEAD, *_parts()])


def _parts() -> Iterator[str]:
    for each in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"tests.scenarios.{each.stem}")
        names = dict.fromkeys(story.name for story in getattr(module, "STORIES", ()))
        if names:
            yield f"## {(module.__doc__ or '').strip().rstrip('.')}\n"
            yield "".join(f"- {name}\n" for name in names)


if __name__ == "__main__":
    PAGE.write_text(text())

"""docs/scenarios.md says which histories are played."""

from __future__ import annotations

from tests.scenarios.document import PAGE, text


def test_the_page_is_what_is_played() -> None:
    assert PAGE.read_text() == text(), "write it anew: python -m tests.scenarios.document"

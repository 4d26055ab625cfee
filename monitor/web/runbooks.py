"""The runbooks that alerts name, as pages: at 3 a.m. nobody looks for a repository."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from monitor.alerting import NO_DATA_RUNBOOK
from monitor.objectives import Objectives
from monitor.resources import resource
from monitor.selfwatch import RUNBOOKS as OWN_RUNBOOKS

LONGEST = 200_000


def find(objectives: Objectives, name: str) -> Path | None:
    """Only what an alert names is found, so a name from an address can't lead out of anywhere."""
    for runbook in (NO_DATA_RUNBOOK, *OWN_RUNBOOKS, *(each.runbook for each in objectives)):
        if not runbook.startswith(("https://", "http://")) and Path(runbook).stem == name:
            places = (objectives.path.parent / runbook, resource(runbook))
            return next((path for path in places if path.is_file()), None)
    return None


def as_html(path: Path) -> Markup:
    """Markup inside the file is shown as text."""
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(LONGEST)
    rendered = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    # What is too wide can be scrolled by keyboard, too.
    rendered = rendered.replace("<pre>", '<pre tabindex="0">')
    return Markup(rendered)  # noqa: S704 (made by the renderer, which escapes what it is given)

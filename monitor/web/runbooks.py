"""Runbooks, and the thresholds that they speak of, as pages: at 3 a.m. nobody looks for a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from monitor.alerting import NO_DATA_RUNBOOK
from monitor.objectives import Objectives
from monitor.resources import resource
from monitor.selfwatch import RUNBOOKS as OWN_RUNBOOKS
from monitor.thresholds import threshold_table
from monitor.web.standing import is_elsewhere, runbook_link
from monitor.web.words import tied

LONGEST = 200_000
SHIPPED = resource("docs", "runbooks")
THRESHOLDS = "thresholds"

Leads = Callable[[str], str]
"""From a link as it is written to where it leads on this page; "" for nowhere."""


def find(objectives: Objectives, name: str) -> Path | None:
    """Only what an alert names or what is shipped is found, so a name from an address can't lead out of
    anywhere."""
    return _known(objectives).get(name)


def _known(objectives: Objectives) -> dict[str, Path]:
    """By name; of two with the same name the one that an alert names."""
    known = {path.stem: path for path in SHIPPED.glob("*.md")}
    named = (NO_DATA_RUNBOOK, *OWN_RUNBOOKS, *(each.runbook for each in objectives))
    for runbook in reversed(named):
        places = () if is_elsewhere(runbook) else (objectives.path.parent / runbook, resource(runbook))
        if path := next((path for path in places if path.is_file()), None):
            known[path.stem] = path
    return known


def runbook_html(objectives: Objectives, path: Path) -> Markup:
    """Markup inside the file is shown as text."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return html(objectives, file.read(LONGEST))


def thresholds_html(objectives: Objectives) -> Markup:
    """Those in force, which need not be the ones that are shipped."""
    head = f"# Thresholds\n\nThose of this agent, from `{objectives.path}`.\n"
    return html(objectives, head + tied(threshold_table(objectives)))


def html(objectives: Objectives, text: str) -> Markup:
    """Markdown as a page of the agent, on which every link leads somewhere."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(text)
    known = _known(objectives)
    for token in tokens:
        if token.children:
            token.children = list(_linked(token.children, lambda written: _leads(known, written)))
    rendered: str = markdown.renderer.render(tokens, markdown.options, {})
    # What is too wide can be scrolled by keyboard, too.
    rendered = rendered.replace("<pre>", '<pre tabindex="0">')
    rendered = rendered.replace("<table>", '<div class="wide" tabindex="0"><table>')
    rendered = rendered.replace("</table>", "</table></div>")
    return Markup(rendered)  # noqa: S704 (made by the renderer, which escapes what it is given)


def _linked(tokens: list[Token], leads: Leads) -> Iterator[Token]:
    """What leads nowhere becomes its text with the name of the file, which somebody may have elsewhere."""
    nowhere = ""
    for token in tokens:
        if token.type == "link_open":
            written = str(token.attrs["href"])
            token.attrs["href"] = leads(written)
            nowhere = "" if token.attrs["href"] else written
        if not nowhere or token.type not in ("link_open", "link_close"):
            yield token
        elif token.type == "link_close":
            yield Token("text", "", 0, content=f" ({unquote(nowhere)})")
            nowhere = ""


def _leads(known: dict[str, Path], written: str) -> str:
    """Documents go by their names alone, as in `runbook_link`."""
    try:
        address = urlsplit(written)
    except ValueError:
        return ""
    if address.scheme or address.netloc or not address.path:
        return written
    document = PurePosixPath(unquote(address.path))
    if document.suffix != ".md":
        return ""
    if document.stem in known:
        return address._replace(path=runbook_link(document.name)).geturl()
    return f"/{THRESHOLDS}" if document.stem == THRESHOLDS else ""

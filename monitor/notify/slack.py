"""Posts to a Slack channel through an incoming webhook, as Block Kit.

https://docs.slack.dev/reference/block-kit/blocks: a section holds 3,000 characters, or 10 fields of 2,000; a
button's address 3,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar

from monitor.config import NotifierConfig
from monitor.conversations import Kind
from monitor.fields import SecretUrl
from monitor.notify.page import Answer, PageContent, parse_page, shortened
from monitor.notify.posting import Poster

LONGEST_ANSWER, LONGEST_FIELD, LONGEST_URL = 550, 350, 3000
LONGEST_SECTION = 3000
"""Characters before they are escaped, which makes five of one."""
SHORT = ("Value", "Since", "Last good", "Slowest phase", "Deploy", "Note")
COLOURS = {Kind.RESOLVED: "#2e7d32", Kind.ACKNOWLEDGED: "#5f6368", "page": "#c62828", "ticket": "#b26a00"}
INFO = "#1565c0"


@dataclass(frozen=True, slots=True)
class SlackOptions:
    url: SecretUrl = field(repr=False)


class Slack:
    """429 and 5xx are tried again; a webhook or channel that is gone (403, 404, 410) is permanent."""

    takes: ClassVar[type[Any]] = SlackOptions
    at_once: ClassVar[int] = 1
    """A channel takes a message a second (https://docs.slack.dev/apis/web-api/rate-limits)."""

    def __init__(self, config: NotifierConfig) -> None:
        self._options: SlackOptions = config.options
        self._poster = Poster(config.timeout)

    async def send(self, body: str, dedup_key: str) -> str:
        return await self._poster.post(self._options.url, json=message(parse_page(body), dedup_key))

    async def close(self) -> None:
        await self._poster.close()


def message(page: PageContent, dedup_key: str) -> dict[str, Any]:
    """`text` is what a phone shows on its lock screen, and the line above the blocks."""
    colour = COLOURS.get(page.kind, COLOURS.get(page.severity, INFO))
    text = f"*{page.kind.upper()}* {escaped(shortened(page.summary, LONGEST_ANSWER))}"
    return {
        "text": text,
        "attachments": [{"color": colour, "fallback": text, "blocks": list(_blocks(page, dedup_key))}],
    }


def _blocks(page: PageContent, dedup_key: str) -> Iterator[dict[str, Any]]:
    answers = list(page.answers)
    fields = [_field(each, page) for each in answers if each.label in SHORT]
    yield {"type": "section", "fields": fields[:10]}
    for label, group in groupby(answers, key=lambda answer: answer.label):
        if label not in SHORT:
            said = [f"*{label}*", *(escaped(shortened(each.text, LONGEST_ANSWER)) for each in group)]
            yield {"type": "section", "text": _mrkdwn(_fitting(said))}
    if buttons := [_button(each) for each in page.links if len(each.text) <= LONGEST_URL]:
        yield {"type": "actions", "elements": buttons}
    yield {"type": "context", "elements": [_mrkdwn(escaped(each)) for each in _small_print(page, dedup_key)]}


def _fitting(lines: list[str]) -> str:
    """Whole lines only: a cut could leave half of an escaped character."""
    while len(text := "\n".join(lines)) > LONGEST_SECTION:
        lines = lines[:-1]
    return text


def _field(answer: Answer, page: PageContent) -> dict[str, Any]:
    text = escaped(shortened(answer.text, LONGEST_FIELD))
    if answer.label == "Since":
        # Shown by each reader's own clock.
        text = f"<!date^{page.since:.0f}^{{date_short_pretty}} {{time_secs}}|{text}> ({page.lasted})"
    return _mrkdwn(f"*{answer.label}*\n{text}")


def _button(link: Answer) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": link.label}, "url": link.text}


def _small_print(page: PageContent, dedup_key: str) -> Iterator[str]:
    yield f"{page.severity} · {page.alert} · {dedup_key}"
    if page.runbook and not page.runbook.startswith(("https://", "http://")):
        yield shortened(f"Runbook: {page.runbook}", LONGEST_FIELD)
    if page.firing and page.silence:
        yield shortened(page.silence, LONGEST_FIELD)


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def escaped(text: str) -> str:
    """Slack reads links and mentions (<!channel>) from these three characters alone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

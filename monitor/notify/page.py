"""What a notification says, read back from the body that the outbox kept, for notifiers to give it a form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from monitor.conversations import Kind
from monitor.quantity import format_duration

SHORTENED = "…"
FIRST = "Do first"


class Answer(NamedTuple):
    """One line of a page: to what question, and its answer."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class PageContent:
    """Text is plain and may hold what a target said: each form escapes and shortens it. "": not known.

    `since`, `ended` and `at` are seconds since the epoch; `runbook` may be a path, other links are addresses.
    """

    kind: Kind
    severity: str
    alert: str
    target: str
    check: str
    dedup_key: str
    at: float
    since: float
    ended: float | None
    summary: str
    value: str
    threshold: str
    reason: str
    description: str
    phase: str
    last_good: str
    also: tuple[str, ...]
    deploy: str
    note: str
    first_step: str
    runbook: str
    dashboard: str
    silence: str
    silence_link: str

    @property
    def firing(self) -> bool:
        return self.kind is not Kind.RESOLVED

    @property
    def headline(self) -> str:
        """For a lock screen: what it is about, and whether it began or is over."""
        return f"{self.kind.upper()} {self.summary}"

    @property
    def lasted(self) -> str:
        return format_duration(float(round(max((self.ended or self.at) - self.since, 0.0))))

    @property
    def links(self) -> Iterator[Answer]:
        for label, address in (
            ("Runbook", self.runbook),
            ("Dashboard", self.dashboard),
            ("Silence", self.silence_link),
        ):
            if address.startswith(("https://", "http://")):
                yield Answer(label, address)

    @property
    def answers(self) -> Iterator[Answer]:
        """How bad, since when, why, what else, what to do: in the order in which one asks at 3 a.m."""
        limit = f" (alert when {self.threshold})" if self.threshold else ""
        said = (
            ("Note", self.note),
            ("Value", f"{self.value}{limit}"),
            ("Since", f"{moment(self.since, self.at)}, {'lasted' if self.ended else 'for'} {self.lasted}"),
            ("Why" if self.firing else "Now", self.reason),
            ("Slowest phase", self.phase),
            ("Last good", self.last_good),
            *(("Also", each) for each in self.also),
            ("Deploy", self.deploy),
            (FIRST, self.first_step if self.firing else ""),
        )
        return (Answer(label, text) for label, text in said if text)


def parse_page(body: str) -> PageContent:
    """Raises ValueError for what isn't the body of one alert; an annotation that is missing is ""."""
    message = json.loads(body)
    try:
        [said] = message["alerts"]
        return _content(said, said["labels"], said["annotations"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not the body of a notification: {error!r}") from error


def _content(
    said: Mapping[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str]
) -> PageContent:
    since, over = _seconds(said["startsAt"]), said["status"] == "resolved"
    ended = _seconds(said["endsAt"]) if over else None
    plain = ("summary", "value", "threshold", "reason", "description", "phase", "last_good", "deploy", "note")
    words = {
        name: one_line(annotations.get(name, ""))
        for name in (*plain, "first_step", "silence", "silence_link")
    }
    return PageContent(
        kind=Kind(annotations.get("kind") or ("resolved" if over else "firing")),
        severity=labels["severity"],
        alert=labels["alertname"],
        target=labels["target"],
        check=labels.get("check", ""),
        dedup_key=said["fingerprint"],
        at=_seconds(annotations["at"]) if "at" in annotations else ended or since,
        since=since,
        ended=ended,
        also=tuple(one_line(each) for each in annotations.get("also", "").splitlines()),
        runbook=one_line(annotations.get("runbook_link") or annotations.get("runbook", "")),
        dashboard=one_line(annotations.get("dashboard_link", "")),
        **words,
    )


def as_text(page: PageContent) -> str:
    """The page as plain text: e-mail, and whatever shows text alone."""
    lines = [page.headline, ""]
    label = ""
    for answer in page.answers:
        lines.append(f"{'' if answer.label == label else answer.label + ':':15}{answer.text}")
        label = answer.label
    lines += ["", *_where(page)]
    if page.description:
        lines += ["", page.description]
    return "\n".join(lines).rstrip() + "\n"


def _where(page: PageContent) -> Iterator[str]:
    for label, text in (
        ("Runbook", page.runbook),
        ("Dashboard", page.dashboard),
        ("Silence", page.silence_link),
    ):
        if text:
            yield f"{label + ':':15}{text}"
    if page.firing and page.silence:
        yield f"{'Silence it:':15}{page.silence}"


def shortened(text: str, most: int) -> str:
    """At most `most` characters, and it shows when that cost some."""
    return text if len(text) <= most else text[: most - len(SHORTENED)] + SHORTENED


def moment(at: float, now: float) -> str:
    """`03:11:30 UTC`, with its date unless that is today's."""
    when = datetime.fromtimestamp(at, UTC)
    day = "" if when.date() == datetime.fromtimestamp(now, UTC).date() else f"{when:%Y-%m-%d} "
    return f"{day}{when:%H:%M:%S} UTC"


def _seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


def one_line(text: object) -> str:
    """Line breaks and control characters become spaces: they could forge headers or lines of ours."""
    said = str(text)
    shown = said if said.isprintable() else "".join(char if char.isprintable() else " " for char in said)
    return shown.strip()

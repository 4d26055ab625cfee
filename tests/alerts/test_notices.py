"""What people read: the templates, rendered by a real Alertmanager, as Slack, PagerDuty and mail get it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.alerts.receiving import Mailbox, Receiver, run_mailbox, run_receiver
from tests.alerts.starting import Started, alert, ended
from tests.conftest import StartProcess
from tests.servers import wait_until

ODD = """a&b <c> "d" 'e' {{ f }} 100 % \\ü*_`|"""
"""Markup of Slack and HTML, quotes, a template, and letters beyond ASCII."""
STARTED = "2026-01-31T03:12:00Z"
FROM = 1769827320000
"""Half an hour before that, in ms."""
ANNOTATIONS = {
    "summary": "api: Server errors (5xx / all requests): 7.1 % (alert when above 5 %)",
    "description": "Server errors of api were 7.1 % over the last 5 min.",
    "value": "7.1 %",
    "threshold": "above 5 %",
    "runbook": "docs/runbooks/error-rate.md",
    "dashboard": "d/paciolus-overview?viewPanel=103",
}


class Told(NamedTuple):
    alertmanager: Started
    receiver: Receiver
    mailbox: Mailbox

    def slack(self, number: int) -> dict[str, Any]:
        """The attachment of the message with that number, from 0 on; waits for it."""
        message: dict[str, Any] = self._at("/slack", number)
        return dict(message["attachments"][0])

    def pagerduty(self, number: int) -> dict[str, Any]:
        return dict(self._at("/v2/enqueue", number))

    def mail(self, number: int) -> EmailMessage:
        return wait_until(lambda: self.mailbox.mails[number:], 15, f"mail {number}")[0]

    def _at(self, path: str, number: int) -> Any:
        return wait_until(lambda: self.receiver.at(path)[number:], 15, f"{path} {number}")[0]


@pytest.fixture
def told(process: StartProcess, tmp_path: Path, at_end: ExitStack) -> Told:
    receiver, mailbox = at_end.enter_context(run_receiver()), at_end.enter_context(run_mailbox())
    env = {
        "SLACK_API_URL": f"{receiver.url}/slack?a=1&b='2'",
        "PAGERDUTY_ROUTING_KEY": "k3y",
        "PAGERDUTY_URL": f"{receiver.url}/v2/enqueue",
        "SMTP_SMARTHOST": f"127.0.0.1:{mailbox.port}",
        "SMTP_FROM": "monitor@example.com",
        "SMTP_TO": "on-call@example.com",
        "SMTP_REQUIRE_TLS": "false",
        "SMTP_USERNAME": "monitor",
        "SMTP_PASSWORD": "p'ss|w&rd",
        "WEBHOOK_URL": f"{receiver.url}/hook",
        "WEBHOOK_TOKEN": "t0ken",
        "GRAFANA_URL": "https://grafana.example.com/sub/",
        "RUNBOOK_URL": "https://git.example.com/monitor/blob/main",
        "ALERTMANAGER_URL": "http://alerts.example.com",
    }
    return Told(Started(process, tmp_path, env), receiver, mailbox)


def page(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = alert("error-rate") | {"annotations": ANNOTATIONS, "startsAt": STARTED}
    return made | changes


SILENCE = "http://alerts.example.com/#/silences/new?filter=" + urllib.parse.quote(
    '{alertname="error-rate",target="api"}', safe=""
)
DASHBOARD = f"https://grafana.example.com/sub/d/paciolus-overview?viewPanel=103&from={FROM}&to="
RUNBOOK = "https://git.example.com/monitor/blob/main/docs/runbooks/error-rate.md"


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value or "" for name, value in attrs if name == "href"]
        assert tag not in ("c", "script")

    def handle_data(self, data: str) -> None:
        self.text += data


def part(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_a_page_from_firing_to_resolved(told: Told) -> None:
    told.alertmanager.post(page())

    slack = told.slack(0)
    assert slack["title"] == f"FIRING {ANNOTATIONS['summary']}" == slack["fallback"]
    assert (slack["color"], slack["title_link"]) == ("danger", SILENCE)
    assert "*Value:* 7.1 %  *Alerts when:* above 5 %\n*Since:* 2026-01-31 03:12:00 UTC\n" in slack["text"]
    assert (
        f"Runbook: {RUNBOOK}\n<{DASHBOARD}now|Dashboard at that time> · <{SILENCE}|Silence>" in slack["text"]
    )
    assert ANNOTATIONS["description"] in slack["text"]

    event = told.pagerduty(0)
    assert (event["routing_key"], event["event_action"]) == ("k3y", "trigger")
    payload = event["payload"]
    assert (payload["summary"], payload["severity"]) == (f"FIRING {ANNOTATIONS['summary']}", "critical")
    assert (payload["class"], payload["component"]) == ("error-rate", "api")
    details = payload["custom_details"]
    assert (details["value"], details["threshold"]) == ("7.1 %", "above 5 %")
    assert details["since"] == "2026-01-31 03:12:00 UTC"
    links = {"Runbook": RUNBOOK, "Dashboard": f"{DASHBOARD}now", "Silence": SILENCE}
    assert {link["text"]: link["href"] for link in event["links"]} == links

    mail = told.mail(0)
    assert (mail["Subject"], mail["To"]) == (f"FIRING {ANNOTATIONS['summary']}", "on-call@example.com")
    for line in (
        "Value: 7.1 %",
        "Alerts when: above 5 %",
        f"Runbook: {RUNBOOK}",
        f"Dashboard: {DASHBOARD}now",
    ):
        assert line in part(mail, "plain").splitlines()
    assert Links(part(mail, "html")).hrefs == [RUNBOOK, f"{DASHBOARD}now", SILENCE]
    assert told.mailbox.logins == [(b"monitor", b"p'ss|w&rd")]

    posted = wait_until(lambda: [each for each in told.receiver.posted if each.path == "/hook"], 10)[0]
    assert posted.headers["Authorization"] == "Bearer t0ken"
    assert posted.body["alerts"][0]["annotations"] == ANNOTATIONS

    told.alertmanager.post(page(endsAt="2026-01-31T03:20:00Z"))
    slack = told.slack(1)
    assert slack["title"].startswith("RESOLVED api: ")
    assert slack["color"] == "good"
    assert "*Since:* 2026-01-31 03:12:00 UTC, lasted 8m0s\n" in slack["text"]
    assert f"<{DASHBOARD}{FROM + 48 * 60_000}|Dashboard at that time>" in slack["text"]
    assert told.pagerduty(1)["event_action"] == "resolve"
    assert told.pagerduty(1)["dedup_key"] == event["dedup_key"]
    assert told.mail(1)["Subject"].startswith("RESOLVED api: ")


def test_odd_characters_are_shown_and_nothing_more(told: Told) -> None:
    odd = dict.fromkeys(("summary", "description", "value", "threshold"), ODD)
    told.alertmanager.post(alert("error-rate", target=ODD) | {"annotations": odd | {"dashboard": "d/x y"}})
    escaped = ODD.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    slack = told.slack(0)
    assert f"*Value:* {escaped}" in slack["text"]
    assert f"\n{escaped}\n" in slack["text"]
    assert told.pagerduty(0)["payload"]["custom_details"]["value"] == ODD
    mail = told.mail(0)
    assert mail["Subject"] == f"FIRING {ODD}"
    read = Links(part(mail, "html"))
    assert read.text.count(ODD) >= 5
    which = urllib.parse.parse_qs(urllib.parse.urlsplit(read.hrefs[-1]).fragment.partition("?")[2])
    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"')
    assert which["filter"] == [f'{{alertname="error-rate",target="{quoted}"}}']


def test_what_has_no_annotations_still_says_what_it_is(told: Told) -> None:
    told.alertmanager.post({"labels": {"alertname": "Bare", "severity": "page"}})
    assert told.slack(0)["title"] == "FIRING Bare"
    assert "Runbook" not in told.slack(0)["text"]
    assert [link["text"] for link in told.pagerduty(0)["links"]] == ["Silence"]
    text = part(told.mail(0), "plain")
    assert text.splitlines()[0] == "FIRING Bare"
    assert text.splitlines()[1].startswith("Since: ")
    assert not {"Runbook", "Dashboard", "Value", "<no value>"} & set(text.replace(":", " ").split())
    assert len(Links(part(told.mail(0), "html")).hrefs) == 1
    assert "level=error" not in told.alertmanager.process.output


def test_several_alerts_of_a_group_are_all_told_and_not_without_end(told: Told) -> None:
    several = [page(labels=alert("error-rate", shard=str(number))["labels"]) for number in range(7)]
    told.alertmanager.post(*several)
    last = wait_until(lambda: [m for m in told.mailbox.mails if "(7)" in m["Subject"]], 15)[0]
    assert last["Subject"] == f"FIRING (7) {ANNOTATIONS['summary']}"
    assert part(last, "plain").count("FIRING error-rate on api") == 5
    assert "Five of 7 alerts are shown." in part(last, "plain")
    assert len(Links(part(last, "html")).hrefs) == 5 * 2 + 1


@pytest.fixture
def plainly_told(process: StartProcess, tmp_path: Path) -> Iterator[tuple[Started, Mailbox]]:
    """Nobody said where Grafana and the runbooks are."""
    with run_mailbox() as mailbox:
        env = {
            "SMTP_SMARTHOST": f"127.0.0.1:{mailbox.port}",
            "SMTP_FROM": "monitor@example.com",
            "SMTP_TO": "on-call@example.com",
            "SMTP_REQUIRE_TLS": "false",
        }
        yield Started(process, tmp_path, env), mailbox


def test_without_addresses_it_says_where_the_runbook_lies(plainly_told: tuple[Started, Mailbox]) -> None:
    alertmanager, mailbox = plainly_told
    alertmanager.post(page())
    mail = wait_until(lambda: mailbox.mails, 15)[0]
    assert "Runbook: docs/runbooks/error-rate.md" in part(mail, "plain").splitlines()
    assert "Dashboard: http://localhost:3000/d/paciolus-overview?" in part(mail, "plain")
    read = Links(part(mail, "html"))
    assert "docs/runbooks/error-rate.md" in read.text
    assert not any("runbooks" in href for href in read.hrefs)
    alertmanager.post(ended(page(annotations=ANNOTATIONS | {"runbook": "https://wiki.example.com/x"})))
    mail = wait_until(lambda: mailbox.mails[1:], 15)[0]
    assert "https://wiki.example.com/x" in Links(part(mail, "html")).hrefs

"""Triggers, acknowledges and resolves incidents through PagerDuty's Events API v2.

https://developer.pagerduty.com/docs/send-alert-event: a summary holds 1,024 characters, an event 512 KB.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from monitor.config import NotifierConfig
from monitor.conversations import Kind
from monitor.fields import HttpUrl, Secret
from monitor.notify.message import rfc3339
from monitor.notify.page import PageContent, parse_page, shortened
from monitor.notify.posting import Poster

URL = "https://events.pagerduty.com"
ACTIONS = {Kind.RESOLVED: "resolve", Kind.ACKNOWLEDGED: "acknowledge"}
SEVERITIES = {"page": "critical", "ticket": "warning", "info": "info"}
LONGEST_SUMMARY = 1024


@dataclass(frozen=True, slots=True)
class PagerDutyOptions:
    """`url` is another one for accounts in the EU: https://events.eu.pagerduty.com."""

    routing_key: Secret = field(repr=False)
    url: HttpUrl = URL


class PagerDuty:
    """202 is delivery; 429 and 5xx are tried again; a 400 (a wrong key or event) is permanent."""

    takes: ClassVar[type[Any]] = PagerDutyOptions

    def __init__(self, config: NotifierConfig) -> None:
        self._options: PagerDutyOptions = config.options
        self._url = f"{self._options.url.rstrip('/')}/v2/enqueue"
        self._poster = Poster(config.timeout)

    async def send(self, body: str, dedup_key: str) -> str:
        event = _event(parse_page(body), dedup_key) | {"routing_key": self._options.routing_key}
        return await self._poster.post(self._url, json=event)

    async def close(self) -> None:
        await self._poster.close()


def _event(page: PageContent, dedup_key: str) -> dict[str, Any]:
    """What is said again with a key that is open joins its incident, and makes no second one."""
    action = ACTIONS.get(page.kind, "trigger")
    event: dict[str, Any] = {"event_action": action, "dedup_key": dedup_key}
    if action != "trigger":
        return event
    return event | {
        "client": "Paciolus Monitor",
        "links": [{"href": link.text, "text": link.label} for link in page.links],
        "payload": {
            "summary": shortened(page.summary, LONGEST_SUMMARY),
            "source": page.target,
            "severity": SEVERITIES.get(page.severity, "critical"),
            "timestamp": rfc3339(page.since),
            "component": page.check,
            "group": page.target,
            "class": page.alert,
            "custom_details": _details(page),
        },
    }


def _details(page: PageContent) -> dict[str, str]:
    said = {each.label: each.text for each in page.answers if each.label != "Also"}
    return {
        **said,
        **({"Also": "; ".join(page.also)} if page.also else {}),
        **({"Runbook": page.runbook} if page.runbook else {}),
        **({"Silence it": page.silence} if page.silence else {}),
    }

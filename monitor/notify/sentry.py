"""Captures an event in Sentry, over its envelope protocol: one issue for each objective of a target.

The SDK makes envelope and authorisation; its own transport would drop what can't be sent, and say nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from monitor.config import NotifierConfig
from monitor.fields import SentryDsn
from monitor.notify.message import rfc3339
from monitor.notify.page import PageContent, as_text, parse_page, shortened
from monitor.notify.posting import Poster

if TYPE_CHECKING:
    from sentry_sdk.envelope import Envelope

LEVELS = {"page": "fatal", "ticket": "warning", "info": "info"}
LONGEST_TITLE, LONGEST_TAG = 1000, 200


@dataclass(frozen=True, slots=True)
class SentryOptions:
    dsn: SentryDsn = field(repr=False)
    environment: str = "production"


class Sentry:
    """200 is delivery; 429 and 5xx are tried again; a wrong key or project (400 to 404) is permanent."""

    takes: ClassVar[type[Any]] = SentryOptions

    def __init__(self, config: NotifierConfig) -> None:
        # Half a second of import, for those who send there: when the agent starts, not with a page.
        from sentry_sdk.envelope import Envelope
        from sentry_sdk.utils import Dsn

        self._options: SentryOptions = config.options
        self._envelope: type[Envelope] = Envelope
        auth = Dsn(self._options.dsn).to_auth("paciolus-monitor")
        self._url = auth.get_api_url()
        self._headers = {"content-type": "application/x-sentry-envelope", "x-sentry-auth": auth.to_header()}
        self._poster = Poster(config.timeout)

    async def send(self, body: str, dedup_key: str) -> str:
        # The same for a retry, so that Sentry keeps one of both.
        identity = hashlib.sha256(f"{dedup_key}{body}".encode()).hexdigest()[:32]
        event = _event(parse_page(body), identity) | {"environment": self._options.environment}
        envelope = self._envelope(headers={"event_id": identity, "dsn": self._options.dsn})
        envelope.add_event(event)  # type: ignore[arg-type]
        return await self._poster.post(self._url, content=envelope.serialize(), headers=self._headers)

    async def close(self) -> None:
        await self._poster.close()


def _event(page: PageContent, identity: str) -> dict[str, Any]:
    level = LEVELS.get(page.severity, "error") if page.firing else "info"
    tags = {
        "alert": page.alert,
        "target": page.target,
        "check": page.check,
        "severity": page.severity,
        "kind": page.kind,
        "incident": page.dedup_key,
    }
    return {
        "event_id": identity,
        "timestamp": rfc3339(page.at),
        "platform": "other",
        "logger": "paciolus-monitor",
        "level": level,
        "server_name": page.target,
        "logentry": {"formatted": shortened(page.headline, LONGEST_TITLE)},
        "fingerprint": [page.target, page.check, page.alert],
        "tags": {name: shortened(text, LONGEST_TAG) for name, text in tags.items() if text},
        "extra": {"page": as_text(page)},
    }

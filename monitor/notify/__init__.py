"""Telling people: a notifier is a small class in a file of its own and an entry in NOTIFIERS."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from monitor.config import NotifierConfig
from monitor.notify.alertmanager import Alertmanager
from monitor.notify.email import Email
from monitor.notify.log import Log
from monitor.notify.pagerduty import PagerDuty
from monitor.notify.sentry import Sentry
from monitor.notify.slack import Slack
from monitor.notify.webhook import Webhook


class Notifier(Protocol):
    async def send(self, body: str, dedup_key: str) -> str | None:
        """Delivers one message (JSON text of `page_json`) within a deadline, or raises DeliveryError.

        What the receiver answered, in a few words.
        """

    async def close(self) -> None: ...


class Configured(Notifier, Protocol):
    """`takes`, a frozen dataclass, has the keys of this kind in monitor.yml beside those that all kinds have;
    `config.options` is one of it. A kind that takes few messages at a time says so as `at_once`."""

    takes: ClassVar[type[Any]]

    def __init__(self, config: NotifierConfig) -> None: ...


NOTIFIERS: dict[str, type[Configured]] = {
    "alertmanager": Alertmanager,
    "email": Email,
    "log": Log,
    "pagerduty": PagerDuty,
    "sentry": Sentry,
    "slack": Slack,
    "webhook": Webhook,
}

"""Telling people: a notifier is a small class in a file of its own and an entry in NOTIFIERS."""

from __future__ import annotations

from typing import ClassVar, Protocol

from monitor.config import NotifierConfig
from monitor.notify.alertmanager import Alertmanager
from monitor.notify.log import Log
from monitor.notify.webhook import Webhook


class Notifier(Protocol):
    takes_url: ClassVar[bool]

    def __init__(self, config: NotifierConfig) -> None: ...

    async def send(self, body: str, dedup_key: str) -> None:
        """Delivers one message (JSON text of `page_json`) within a deadline, or raises DeliveryError."""

    async def close(self) -> None: ...


NOTIFIERS: dict[str, type[Notifier]] = {
    "alertmanager": Alertmanager,
    "log": Log,
    "webhook": Webhook,
}

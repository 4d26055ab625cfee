"""Writes the message to the agent's log, in one line."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

from monitor.config import NotifierConfig
from monitor.notify.page import parse_page

log = logging.getLogger("monitor.alerts")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """None."""


class Log:
    takes: ClassVar[type[Any]] = LogOptions

    def __init__(self, config: NotifierConfig) -> None:
        """Nothing of it matters here."""

    async def send(self, body: str, dedup_key: str) -> str:
        page = parse_page(body)
        also = (f"also: {each}" for each in page.also)
        known = (page.summary, page.reason, page.note, page.phase, *also, page.deploy)
        log.warning(
            "%s %s: %s. Runbook: %s [%s]",
            page.kind.upper(),
            page.severity,
            ". ".join(each.removesuffix(".") for each in known if each),
            page.runbook,
            dedup_key,
        )
        return "logged"

    async def close(self) -> None:
        """Nothing is held open."""

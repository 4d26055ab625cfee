"""Writes the message to the agent's log, in one line."""

from __future__ import annotations

import json
import logging
from typing import ClassVar

from monitor.config import NotifierConfig

log = logging.getLogger("monitor.alerts")


class Log:
    takes_url: ClassVar[bool] = False

    def __init__(self, config: NotifierConfig) -> None:
        self._name = config.name

    async def send(self, body: str, dedup_key: str) -> None:
        message = json.loads(body)
        said = message["commonAnnotations"]
        severity = message["commonLabels"]["severity"]
        log.warning(
            "%s %s: %s. %s. Runbook: %s [%s]",
            message["status"].upper(),
            severity,
            said["summary"],
            said["reason"],
            said["runbook"],
            dedup_key,
        )

    async def close(self) -> None:
        """Nothing is held open."""

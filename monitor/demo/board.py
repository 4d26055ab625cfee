"""All that the demo knows at a moment: written by whoever learns it, read by the story and by the screen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import httpx

from monitor.demo.traffic import Tally
from monitor.receiver import Notice

SHOWN = ("latency-p95", "error-rate", "pool-usage", "memory-usage", "failed-logins")
"""The five thresholds of the operations document, §9.2."""
SHORTENED = 20
"""How many times shorter than documented the windows are; the thresholds stay."""
TERMS = f"Documented thresholds; windows {SHORTENED} times shorter; one probe a second."
KEPT_NOTICES = 200
LOOK_EVERY = 0.5


@dataclass
class Board:
    """`status` is the agent's own answer (monitor/web.py), None until there is one."""

    api_url: str = ""
    agent_url: str = ""
    inbox_url: str = ""
    phase: str = "Starting the API and the agent"
    status: dict[str, Any] | None = None
    agent_silent: bool = False
    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=KEPT_NOTICES))
    tally: Tally = field(default_factory=Tally)
    broken: Collection[str] = ()

    def objectives(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in (self.status or {}).get("objectives", [])}

    def alerts(self) -> list[dict[str, Any]]:
        alerts: list[dict[str, Any]] = (self.status or {}).get("alerts", [])
        return sorted(alerts, key=lambda alert: float(alert["since"]))

    def firing(self) -> set[str]:
        return {alert["name"] for alert in self.alerts() if alert["state"] == "firing"}

    def arrived(self, status: str) -> set[str]:
        return {notice.alert for notice in self.notices if notice.status == status}


async def follow_agent(board: Board) -> None:
    """Until cancelled, asks the agent how things stand."""
    async with httpx.AsyncClient(base_url=board.agent_url, trust_env=False, timeout=2) as client:
        while True:
            try:
                board.status = (await client.get("/api/v1/status")).raise_for_status().json()
                board.agent_silent = False
            except (httpx.HTTPError, ValueError):
                board.agent_silent = True
            await asyncio.sleep(LOOK_EVERY)

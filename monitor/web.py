"""The agent's own port: /metrics, /-/healthy for whoever watches the watcher, /api/v1/status."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from monitor.alerting import Alert
from monitor.config import Config, Target
from monitor.cycle import Cycle
from monitor.judge import Reading
from monitor.metrics import AgentMetrics

LATE_AFTER_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Page:
    config: Config
    cycle: Cycle
    metrics: AgentMetrics
    clock: Callable[[], float]

    def faults(self) -> list[str]:
        """Why the agent is not working as it should; empty when it is."""
        slowest = max(target.interval for target in self.config.targets)
        since = self.clock() - self.metrics.last_cycle_at
        if since > LATE_AFTER_INTERVALS * slowest:
            return [f"no cycle has ended well for {since:.0f} s, the longest interval is {slowest:g} s"]
        if since < -slowest:
            return [f"the clock was set back by {-since:.0f} s, nothing is measured until it has caught up"]
        return []

    def status(self) -> dict[str, Any]:
        """Targets, objectives and alerts as they stand; times in seconds since the epoch."""
        return {
            "now": self.clock(),
            "windows_shortened": self.config.shorten_windows,
            "faults": self.faults(),
            "targets": [self._target(target) for target in self.config.targets],
            "objectives": [
                _objective(reading) for each in self.cycle.conditions.values() for reading in each.readings
            ],
            "alerts": [_alert(alert) for alert in self.cycle.alerting.alerts.values()],
        }

    def _target(self, target: Target) -> dict[str, Any]:
        condition = self.cycle.conditions[target.name]
        return {
            "name": target.name,
            "url": target.url,
            "interval": target.interval,
            "checks": [
                {
                    "name": name,
                    "reason": outcome.reason,
                    "detail": outcome.detail,
                    "duration": outcome.result.duration,
                    "failures": condition.failures.get(name, 0),
                }
                for name, outcome in condition.outcomes.items()
            ],
        }


def _objective(reading: Reading) -> dict[str, Any]:
    objective = reading.objective
    return {
        "name": objective.name,
        "title": objective.title,
        "target": reading.target,
        "severity": objective.severity,
        "verdict": reading.verdict,
        "value": reading.value,
        "value_text": reading.value_text,
        "threshold": str(objective.breach),
        "why": reading.why,
        "at": reading.at,
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        **alert.key._asdict(),
        "state": alert.state,
        "since": alert.since,
        "severity": alert.severity,
        "title": alert.title,
        "value": alert.value,
        "threshold": alert.threshold,
        "reason": alert.reason,
        "runbook": alert.runbook,
    }


def create_web(page: Page) -> FastAPI:
    web = FastAPI(title="Paciolus Monitor", docs_url=None, redoc_url=None)

    @web.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(page.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @web.get("/-/healthy")
    async def healthy(response: Response) -> dict[str, Any]:
        faults = page.faults()
        response.status_code = 503 if faults else 200
        return {"healthy": not faults, "faults": faults}

    @web.get("/api/v1/status")
    async def status() -> dict[str, Any]:
        return page.status()

    return web


class _Server(uvicorn.Server):
    """Signals are the agent's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(page: Page, listening: socket.socket) -> None:
    """Until cancelled."""
    config = uvicorn.Config(
        create_web(page), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    try:
        await server.serve(sockets=[listening])
    finally:
        server.should_exit = True

"""An agent of real parts, whose targets answer as the test says and whose clock the test sets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from exporters.http import Prober, Reason, Request, Result
from monitor.agent import Agent
from monitor.config import load_config
from monitor.loading import objectives_of
from monitor.resources import resource

BEGAN = 1_795_748_700.0
FEW = resource("alerts", "objectives.yml").read_text().partition("\n  - name: latency-p95")[0]
"""The objectives that probes feed: quickly read, quickly judged."""
METRICS = b"""
# TYPE process_tree_cpu_seconds_total counter
process_tree_cpu_seconds_total 12
# TYPE app_build_info gauge
app_build_info{version="1.0"} 1
"""


class Watching:
    """`down`: names of targets that refuse; `held`: an event that all probes wait for."""

    def __init__(self, folder: Path, notify: Mapping[str, Any]) -> None:
        self.file = folder / "monitor.yml"
        self.folder = folder
        self.settings: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "database": f"sqlite:///{folder / 'agent.db'}",
            "objectives": "few.yml",
            "notify": dict(notify),
            "targets": [watched("api"), watched("db")],
        }
        self.now = BEGAN
        self.down: set[str] = set()
        self.held: asyncio.Event | None = None
        self.asked: list[str] = []
        (folder / "few.yml").write_text(FEW)
        self.write()
        self.agent = self.start()

    def start(self) -> Agent:
        config = load_config(self.file)
        agent = Agent(config, objectives_of(config), self.clock)
        agent.restore()
        agent.cycle.prober = cast("Prober", self)
        agent.cycle.steady = self.clock
        return agent

    def clock(self) -> float:
        return self.now

    def write(self, **changes: Any) -> None:
        self.settings |= changes
        self.file.write_text(json.dumps(self.settings))

    async def probe(self, request: Request) -> Result:
        self.asked.append(request.url)
        if self.held is not None:
            await self.held.wait()
        if any(f"//{name}/" in request.url for name in self.down):
            return Result(Reason.CONNECT, "refused", None, duration=0.001)
        return Result(None, "200 OK", 200, duration=0.02, body=METRICS, content_type="text/plain")

    async def look(self, *names: str, times: int = 1) -> None:
        """Cycles of these targets, or of all, half a minute apart; what they say is stored and sent."""
        for _ in range(times):
            self.now += 30
            for target in self.agent.cycle.config.targets:
                if not names or target.name in names:
                    await self.agent.cycle.run(target)
            self.agent.cycle.tick()
        await self.deliver()

    async def deliver(self) -> None:
        await self.agent._recorder.flush_all()
        await self.agent._outbox.send_due()

    def metrics(self, label: str) -> list[str]:
        """Names of the metrics that have this label, as `target="api"`."""
        samples = (each for metric in self.agent.metrics.registry.collect() for each in metric.samples)
        name, _, value = label.replace('"', "").partition("=")
        return sorted({each.name for each in samples if each.labels.get(name) == value})

    def metric(self, name: str, **labels: str) -> float | None:
        return self.agent.metrics.registry.get_sample_value(name, labels)

    async def close(self) -> None:
        await self.agent._receivers.close()
        await self.agent._heartbeat.close()
        self.agent._calls.close()
        self.agent._history.close()


def watched(name: str, **changes: Any) -> dict[str, Any]:
    """No objective asks the `build` check for anything; deploys are seen from it."""
    checks = {
        "health": {"probe": "http", "path": "/health"},
        "build": {"probe": "scrape", "path": "/metrics"},
    }
    return {"name": name, "url": f"http://{name}", "checks": checks, **changes}

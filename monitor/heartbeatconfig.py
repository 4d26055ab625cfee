"""The `heartbeat` section of monitor.yml: who is told again and again that the agent works."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.fields import Beat, HttpUrl


@dataclass(frozen=True, slots=True)
class HeartbeatConfig:
    """`url` is posted to `every` so many seconds; whoever knows it can beat in our place."""

    url: HttpUrl = field(repr=False)
    every: Beat = 60.0

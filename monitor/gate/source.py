"""Where else evidence comes from than from asking the target: the agent's history, or a Prometheus.

What they do not know (no data, too little, an agent that was suspended) is None, and never passes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from monitor.gate.config import GateConfig
from monitor.objectives import Objective

PROBES, HISTORY, PROMETHEUS = "probes", "history", "prometheus"


class SourceError(Exception):
    """It does not answer, or answers nonsense."""


class Seen(NamedTuple):
    """The newest value of an objective; `basis` is what it rests on, `window` in seconds."""

    value: float
    basis: str
    window: float


class Source(Protocol):
    """All raise SourceError."""

    name: str

    async def seen(self, objective: Objective) -> Seen | None: ...

    async def firing(self) -> list[str] | None:
        """What of the target fires now, but for advice."""


def parse_source(written: str) -> tuple[str, str]:
    """(kind, URL) from `probes`, `history` or `prometheus=URL`. Raises ValueError."""
    kind, _, url = written.partition("=")
    if (kind == PROMETHEUS and url.startswith(("http://", "https://"))) or (
        kind in (PROBES, HISTORY) and not url
    ):
        return kind, url.rstrip("/")
    raise ValueError(f"expected probes, history or prometheus=URL, got {written!r}")


def source(kind: str, url: str, config: GateConfig) -> Source | None:
    """None for the gate's own probes. Raises ValueError where gate.yml says too little."""
    from monitor.gate.from_history import FromHistory
    from monitor.gate.from_prometheus import FromPrometheus

    if kind == PROMETHEUS:
        return FromPrometheus(url, config.watched_as)
    if kind == HISTORY and not config.database:
        raise ValueError("history.database in gate.yml is not set: set GATE_HISTORY to the agent's database")
    return FromHistory(config.database, config.watched_as) if kind == HISTORY else None

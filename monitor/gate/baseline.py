"""`--baseline`: what the target is compared with. Another service, asked beside it, or an earlier report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from monitor.fields import parse_url
from monitor.gate import runs
from monitor.gate.asking import Asker
from monitor.gate.config import GateConfig
from monitor.gate.journey import Journey
from monitor.gate.model import Report
from monitor.gate.reports import read_report
from monitor.gate.store import asked

LAST_PASS = "last-pass"  # noqa: S105


async def _none() -> None:
    """Of a baseline that is asked instead."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A `url`, or else an `earlier` run: None while there is none, and it raises SourceError."""

    url: str = ""
    earlier: Callable[[], Coroutine[None, None, Report | None]] = _none


@dataclass(frozen=True, slots=True)
class Beside:
    """The service of a baseline's URL, on an account of its own."""

    target: str
    asker: Asker
    journey: Journey
    ca_file: str | None


def parse_baseline(written: str, target: str, profile: str, config: GateConfig) -> Baseline | None:
    """From `last-pass`, a URL or the path of a JSON report; "" is None. Raises ConfigError, ValueError."""
    if not written:
        return None
    import scipy.stats  # noqa: F401 - in the midst of a run it would be a standstill

    if written == LAST_PASS:
        if not config.database:
            raise ValueError(f"{LAST_PASS} takes a history: set GATE_HISTORY to the agent's database")
        return Baseline(earlier=lambda: asyncio.to_thread(last_pass, config.database, target, profile))
    if written.startswith(("http://", "https://")):
        return Baseline(parse_url(written))
    report = read_report(Path(written))

    async def earlier() -> Report:
        return report

    return Baseline(earlier=earlier)


def last_pass(database: str, target: str, profile: str) -> Report | None:
    """Blocks. Raises SourceError."""
    return asked(database, lambda store: runs.last_pass(store.engine, target, profile))

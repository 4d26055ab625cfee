"""`paciolus-monitor check URL`: one probe, shown whole. No configuration, no agent."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporters.http import Phases, Prober, Request, Result
from monitor.judge import Verdict
from monitor.objectives import Objective, load_objectives
from monitor.quantity import format_duration, format_value
from monitor.resources import resource
from monitor.words import PHASES

COLOURS = {Verdict.OK: "bold green", Verdict.WARN: "bold yellow", Verdict.BREACH: "bold red"}
BAR = 24


def probe(url: str, timeout: float) -> Result:
    async def once() -> Result:
        async with Prober() as prober:
            return await prober.probe(Request(url, timeout=timeout))

    return asyncio.run(once())


def limit() -> Objective:
    """The objective that says how quickly a health check answers."""
    return _objective("health-latency")


def _objective(name: str) -> Objective:
    return load_objectives(resource("alerts", "objectives.yml")).by_name(name)


def verdict(result: Result, objective: Objective) -> Verdict:
    """BREACH is failed, WARN is answered and slow: one slow answer is not an alert."""
    if not result.success:
        return Verdict.BREACH
    return Verdict.WARN if objective.breach.broken_by(result.duration) else Verdict.OK


def as_json(url: str, result: Result) -> str:
    """Stable keys for scripts; durations in seconds."""
    objective = limit()
    shown: dict[str, Any] = {
        "url": url,
        "verdict": verdict(result, objective),
        "success": result.success,
        "reason": result.reason,
        "detail": result.detail,
        "status": result.status,
        "address": result.address,
        "duration": result.duration,
        "phases": dataclasses.asdict(result.phases),
        "threshold": objective.breach.value,
    }
    return json.dumps(shown, indent=2)


def show(console: Console, url: str, result: Result, *, explain: bool) -> None:
    objective = limit()
    found = verdict(result, objective)
    console.print(
        Text.assemble(
            (f" {found} ", f"{COLOURS[found]} reverse"),
            f" {result.status or 'no answer'} in {objective.breach.shown(result.duration)}  ",
            (url, "bold"),
        )
    )
    if result.reason:
        console.print(Text.assemble((f"{result.reason}: ", "bold red"), result.detail))
    if result.duration:
        console.print(_phases(result.phases))
    if explain:
        console.print()
        for line in _explained(result, objective, found):
            console.print(line)


def _phases(phases: Phases) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    whole = sum(dataclasses.astuple(phases))
    for name, meaning in PHASES.items():
        if seconds := getattr(phases, name):
            bar = Text("█" * max(1, round(BAR * seconds / whole)), "cyan")
            table.add_row(
                name, Text(format_value(seconds, "seconds"), justify="right"), bar, Text(meaning, "dim")
            )
    return table


def _explained(result: Result, objective: Objective, found: Verdict) -> Iterator[str]:
    if result.address:
        yield f"{result.address} answered, on a fresh connection."
    if result.success:
        slowest = max(PHASES, key=lambda name: getattr(result.phases, name))
        yield f"Most of the time went into {PHASES[slowest]}."
    if found is Verdict.OK:
        yield f"Expected, and quick enough: too slow is {objective.breach} ({objective.document})."
    elif found is Verdict.WARN:
        yield f"Expected, but slow: too slow is {objective.breach} ({objective.document})."
        yield f"One slow answer tells nobody; a slow median of {format_duration(objective.window)} does."
    else:
        down = _objective("target-down")
        yield "Not the expected answer. One failure pages nobody."
        yield f"The agent pages when failures in a row are {down.breach} ({down.document})."

"""`paciolus-monitor check URL`: one probe, shown whole. No configuration, no agent."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporters.http import Phases, Prober, Request, Result
from monitor.judge import Verdict
from monitor.objectives import Objective, load_objectives
from monitor.quantity import format_duration, format_value
from monitor.resources import resource

COLOURS = {Verdict.OK: "bold green", Verdict.WARN: "bold yellow", Verdict.BREACH: "bold red"}
BAR = 40
MEANINGS = {
    "dns": "looking up the name",
    "connect": "opening the TCP connection",
    "tls": "agreeing on TLS",
    "first_byte": "waiting for the first byte of the answer",
    "transfer": "reading the answer",
}


def probe(url: str, timeout: float) -> Result:
    async def once() -> Result:
        async with Prober() as prober:
            return await prober.probe(Request(url, timeout=timeout))

    return asyncio.run(once())


def limit() -> Objective:
    """The objective that says how quickly a health check answers."""
    return load_objectives(resource("alerts", "objectives.yml")).by_name("health-latency")


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
    line = Text.assemble((f" {found} ", COLOURS[found] + " reverse"), " ", (url, "bold"), "  ")
    if result.status:
        line.append(f"{result.status}  ")
    line.append(objective.breach.shown(result.duration))
    console.print(line)
    if not result.success:
        console.print(Text.assemble("reason  ", (str(result.reason), "bold red"), f"  {result.detail}"))
    console.print(_phases(result.phases))
    if explain:
        _explain(console, result, objective, found)


def _phases(phases: Phases) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    whole = sum(dataclasses.astuple(phases)) or 1.0
    for name, meaning in MEANINGS.items():
        seconds = getattr(phases, name)
        bar = "█" * round(BAR * seconds / whole)
        table.add_row(name, f"{format_value(seconds, 'seconds'):>9}", Text(bar, "cyan"), Text(meaning, "dim"))
    return table


def _explain(console: Console, result: Result, objective: Objective, found: Verdict) -> None:
    down = load_objectives(resource("alerts", "objectives.yml")).by_name("target-down")
    slowest = max(MEANINGS, key=lambda name: getattr(result.phases, name))
    console.print()
    console.print(f"Asked [bold]{result.address or 'nobody: no address answered'}[/], on a fresh connection.")
    if result.success:
        console.print(f"Most of the time went into {MEANINGS[slowest]}.")
    console.print(
        f"Documented ({objective.document}): a health check is too slow when it takes {objective.breach}, "
        f"by the median of {format_duration(objective.window)}."
    )
    said = {
        Verdict.OK: "It answered as expected, and quickly enough.",
        Verdict.WARN: "It answered as expected, but slower than that. One slow answer pages nobody.",
        Verdict.BREACH: "It did not answer as expected. "
        f"The agent pages when the number of failures in a row is {down.breach}.",
    }
    console.print(said[found])
    if result.body:
        console.print(Text(result.body[:200].decode("utf-8", "replace"), "dim"))

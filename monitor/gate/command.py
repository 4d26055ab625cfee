"""What `paciolus-monitor gate` does between its arguments and its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from monitor.asking import RefusedError
from monitor.fields import parse_url
from monitor.gate import runs
from monitor.gate.baseline import Baseline, parse_baseline
from monitor.gate.checks import CHECKS
from monitor.gate.checks.performance import claims_of
from monitor.gate.compare import PAIRS
from monitor.gate.config import GateConfig, Profile, load_gate
from monitor.gate.model import Report
from monitor.gate.plan import TOGETHER, Fixed, plan
from monitor.gate.reports import github, live, terminal, words, write
from monitor.gate.run import gate, shortened
from monitor.gate.source import Source, SourceError, parse_source, source
from monitor.gate.store import asked as ask_store
from monitor.gate.waivers import load_waivers, waive, waived
from monitor.interruption import Interruption
from monitor.mistakes import did_you_mean
from monitor.objectives import load_objectives
from monitor.quantity import parse_duration
from monitor.resources import resource

REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Asked:
    """As it stands on the command line; "" and 0 and None are what was left out."""

    target: str
    profile: str
    config: Path | None
    objectives: Path | None
    waivers: Path
    max_time: str
    max_requests: int
    on_inconclusive: str
    source: str
    baseline: str
    store: bool
    github: bool


def run(asked: Asked, forms: Mapping[str, Path]) -> int:
    """Returns the exit status. Raises ConfigError and typer.BadParameter, before anything is asked."""
    target, config = _url(asked.target), loaded(asked.config, asked.objectives)
    judged_by = _source(asked.source, config)
    profile = shortened(
        profile_of(config, asked.profile), duration(asked.max_time, "--max-time"), asked.max_requests or None
    )
    baseline = _baseline(asked.baseline, target, profile.name, config)
    excused = load_waivers(asked.waivers, CHECKS, time.time())
    wait = asked.on_inconclusive == "wait"
    with github.quoted(typer.echo) if asked.github else contextlib.nullcontext():
        with live.watched(Console(stderr=True, highlight=False)) as progress:
            judge = partial(gate, target, config, profile, source=judged_by, baseline=baseline)
            report = _judged(partial(judge, wait=wait, progress=progress))
        report = dataclasses.replace(
            report,
            results=waived(report.results, excused, report.ended),
            waivers=excused,
            on_inconclusive=asked.on_inconclusive,
        )
        terminal.show(Console(highlight=False), report)
    for form, path in forms.items():
        write(report, form, path)
    if asked.github:
        github.publish(report, os.environ, typer.echo)
    if asked.store and config.database:
        _store(report, config.database)
    return int(report.exit())


def loaded(config: Path | None, objectives: Path | None) -> GateConfig:
    """Raises ConfigError."""
    return load_gate(
        config or resource("alerts", "gate.yml"),
        load_objectives(objectives or resource("alerts", "objectives.yml")),
    )


def planned(profile: Profile, config: GateConfig, seconds: float) -> str:
    """What it will cost, and what it can see, if a request takes so long."""
    claims = claims_of(config, profile, seconds)
    sampled = {name for each in claims for name in each.check.split(TOGETHER)}
    others = [
        Fixed(name, CHECKS[name].asks, *CHECKS[name].waits)
        for name in profile.checks
        if name not in {*sampled, REGRESSION}
    ]
    pairs = (PAIRS + 1) * len(config.requests) if REGRESSION in profile.checks else 0
    return plan(claims, profile.max_requests, profile.max_time, others, seconds, profile.checks, pairs)


def excuse(path: Path, check: str, owner: str, reason: str, expires: str) -> str:
    """Raises ConfigError and typer.BadParameter."""
    try:
        made = waive(path, CHECKS, time.time(), check=check, owner=owner, reason=reason, expires=expires)
    except RefusedError as error:
        raise typer.BadParameter(str(error), param_hint=error.field) from None
    return f"{made.check}: {words.waived(made)}; written to {path}"


def _judged(judge: Callable[[], Coroutine[None, None, Report]]) -> Report:
    """A signal cancels it; then it cleans up, and there is a report all the same."""
    interruption = Interruption()

    async def run() -> Report:
        interruption.cancels(asyncio.current_task())
        return await judge()

    interruption.arm()
    return asyncio.run(run())


def _source(written: str, config: GateConfig) -> Source | None:
    try:
        return source(*parse_source(written), config)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from") from None


def _baseline(written: str, target: str, profile: str, config: GateConfig) -> Baseline | None:
    try:
        return parse_baseline(written, target, profile, config)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--baseline") from None


def _store(report: Report, database: str) -> None:
    """It has been judged: that nobody can keep it changes nothing about that, and is said."""
    try:
        ask_store(database, lambda store: runs.add(store.engine, report))
    except SourceError as error:
        typer.echo(f"This run is not kept: {error}", err=True)


def _url(written: str) -> str:
    try:
        return parse_url(written)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--target") from None


def profile_of(config: GateConfig, name: str) -> Profile:
    if name not in config.profiles:
        cure = did_you_mean(name, config.profiles)
        raise typer.BadParameter(f"{config.path}: there is no profile {name!r}{cure}", param_hint="--profile")
    return config.profiles[name]


def duration(written: str, option: str) -> float | None:
    """Seconds; None for what was left out. Raises typer.BadParameter."""
    try:
        return parse_duration(written) if written else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None

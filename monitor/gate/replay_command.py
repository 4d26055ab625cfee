"""What `paciolus-monitor gate replay` does between its arguments and its exit status."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import typer

from monitor.gate.command import duration, loaded, profile_of
from monitor.gate.config import GateConfig, Profile
from monitor.gate.from_history import targets
from monitor.gate.model import Cause, Exit
from monitor.gate.replay import longest_window, moments, replay, told_by_history
from monitor.gate.replayed import as_json, text
from monitor.gate.source import HISTORY, SourceError
from monitor.gate.store import asked as ask_store
from monitor.gate.stretch import Stretch
from monitor.gate.stretch import loaded as stretch
from monitor.history import History
from monitor.history.rollup import HOUR, MINUTE
from monitor.mistakes import did_you_mean
from monitor.yamlfile import ConfigError

MOST = 10_000
"""Gates of one target."""
DEADLINE = 300.0
"""Seconds to read the history."""


@dataclass(frozen=True, slots=True)
class Asked:
    """As it stands on the command line; "" and None are what was left out."""

    target: str
    profile: str
    source: str
    since: str
    every: str
    config: Path | None
    objectives: Path | None
    json: Path | None


def run(asked: Asked, now: float) -> int:
    """Returns the exit status: 0 when there was something to judge. Raises ConfigError and BadParameter."""
    config = loaded(asked.config, asked.objectives)
    profile = profile_of(config, asked.profile)
    _check(asked, config, profile)
    times, every = _times(asked, now)
    try:
        known = ask_store(config.database, lambda store: _read(store, asked, config, times, every), DEADLINE)
    except SourceError as error:
        typer.echo(str(error), err=True)
        return Exit.ERROR
    found = asyncio.run(replay(known, config, profile, times, every)) if known else None
    if found is None or not found.knows:
        why = "nothing was ever probed" if found is None else f"nothing of {asked.since} can be judged"
        typer.echo(f"{Cause.NO_SAMPLES.upper()}: the history is empty: {why}", err=True)
        return Exit.ERROR
    typer.echo(text(found))
    if asked.json is not None:
        _write(asked.json, as_json(found))
    return Exit.PASS


def _check(asked: Asked, config: GateConfig, profile: Profile) -> None:
    if asked.source != HISTORY:
        raise typer.BadParameter(f"expected history, got {asked.source!r}", param_hint="--from")
    if not config.database:
        raise typer.BadParameter("set GATE_HISTORY to the agent's database", param_hint="--from")
    if not told_by_history(profile):
        raise typer.BadParameter(
            f"no check of {profile.name} can be told from a history", param_hint="--profile"
        )


def _times(asked: Asked, now: float) -> tuple[list[float], float]:
    since, every = duration(asked.since, "--since") or 0.0, duration(asked.every, "--every") or 0.0
    if every < MINUTE:
        raise typer.BadParameter("expected 1m at least", param_hint="--every")
    if since / every > MOST:
        raise typer.BadParameter(
            f"{since / every:,.0f} gates of a target are more than {MOST:,}", param_hint="--every"
        )
    if times := moments(now - since, now, every):
        return times, every
    raise typer.BadParameter(f"no gate falls into it, with one every {asked.every}", param_hint="--since")


def _read(
    store: History, asked: Asked, config: GateConfig, times: list[float], every: float
) -> dict[str, Stretch]:
    """By target; empty for a history in which nothing was ever probed."""
    known = targets(store.read)
    wanted = asked.target or config.watched_as
    if wanted and known and wanted not in known:
        cure = did_you_mean(wanted, known)
        raise typer.BadParameter(f"the history has no target {wanted!r}{cure}", param_hint="--target")
    names, past = [each.name for each in config.objectives], longest_window(config)
    return {
        each: stretch(store, each, names, times[0], times[-1], past=past, fine=every % HOUR != 0)
        for each in known
        if wanted in ("", each)
    }


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError.at(path, f"can't be written: {error.strerror}") from None

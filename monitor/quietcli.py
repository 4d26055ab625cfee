"""`silence`, `ack` and `maintenance` on the command line: written to the store, where the agent looks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
import typer
from sqlalchemy.exc import SQLAlchemyError

from monitor.asking import RefusedError
from monitor.config import load_config
from monitor.conversations import Conversation
from monitor.history import History
from monitor.localtime import clock_time
from monitor.quantity import parse_duration
from monitor.quiet import Quiet
from monitor.quietlist import conversation_text, name_of, silence_text, window_text
from monitor.quietstore import QuietStore
from monitor.storecalls import cause
from monitor.timefields import parse_when
from monitor.yamlfile import ConfigError

SECRETS = ("notify", "web")
"""Sections of the configuration that nothing here needs."""
SHOW_ENDED = 7 * 86400.0
OPTIONS = dict.fromkeys(("ends_at", "until", "end"), "--for, --until")
"""What is called otherwise on the command line."""

silence = typer.Typer(help="Keep alerts to yourself for a while.", no_args_is_help=True)
maintenance = typer.Typer(help="Windows in which nobody is told of a target.", no_args_is_help=True)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The agent's configuration.")]
Author = Annotated[str, typer.Option(help="Who you are; without it: who is logged in.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, in a few words.")]
For = Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")]
Until = Annotated[str, typer.Option("--until", help="Until when: 06:00, tomorrow 06:00, 2026-12-01 06:00.")]
Start = Annotated[str, typer.Option("--start", help="From when on; without it: now.")]
DEFAULT_CONFIG = Path("monitor.yml")


class Opened(NamedTuple):
    quiet: Quiet
    history: History


@silence.command("add")
def add_silence(
    reason: Reason,
    target: Annotated[str, typer.Option(help="Which target; * and ? stand for any.")] = "",
    name: Annotated[str, typer.Option(help="Which alert; * and ? stand for any.")] = "",
    severity: Annotated[str, typer.Option(help="page, ticket or info.")] = "",
    for_: For = "",
    until: Until = "",
    start: Start = "",
    author: Author = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Nobody is told of these alerts until it ends. What still fires then is told."""
    now = time.time()
    begins = _start(start, now)
    ends = _end(for_, until, begins, now)
    with opened(config, now) as (quiet, history):
        made = quiet.add_silence(
            author=_author(author),
            reason=reason,
            starts_at=begins,
            ends_at=ends,
            target=target,
            name=name,
            severity=severity,
            now=now,
        )
        typer.echo(silence_text(made, now))
        firing = [each for each in _open(history) if made.matches(each.alert, each.key.target)]
        for each in firing:
            typer.echo(f"      holds back {name_of(each)}, which fires now")
        if not firing:
            typer.echo("      nothing that fires now is meant by it")
        typer.echo(f"      to end it: paciolus-monitor silence expire {made.id}")


@silence.command("list")
def list_silences(
    ended: Annotated[bool, typer.Option("--ended", help="Also those that ended within a week.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Silences, the first to end first."""
    now = time.time()
    with opened(config, now) as (quiet, _):
        found = quiet.silences(now)
        found += quiet.ended_silences(now - SHOW_ENDED, now) if ended else []
        _show([silence_text(each, now) for each in found], "No silences.", now)


@silence.command("expire")
def expire_silence(
    number: Annotated[int, typer.Argument(help="As `silence list` shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Ends a silence now. What still fires is told."""
    now = time.time()
    with opened(config, now) as (quiet, _):
        if not quiet.expire_silence(number, now):
            raise typer.BadParameter(
                f"there is no silence {number} that has not ended; `paciolus-monitor silence list` shows all",
                param_hint="NUMBER",
            )
    typer.echo(f"Silence {number} is over.")


def ack(
    alert: Annotated[str, typer.Argument(help="TARGET/NAME; without it: what fires now.")] = "",
    reason: Reason = "",
    for_: For = "",
    until: Until = "",
    undo: Annotated[bool, typer.Option("--undo", help="Nobody looks after it any more.")] = False,
    author: Author = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Says that you look after an alert: no reminders, no escalation. Without one: lists what fires."""
    now = time.time()
    ends = _end(for_, until, now, now) if for_ or until else None
    with opened(config, now) as (quiet, history):
        standing = _open(history)
        if not alert:
            _show([_conversation(each, quiet, now) for each in standing], "Nothing fires.", now)
            return
        for each in _meant(alert, standing):
            if undo:
                quiet.unacknowledge(each.dedup_key, now)
            else:
                who, why = _author(author), reason
                quiet.acknowledge(each.dedup_key, author=who, reason=why, until=ends, now=now)
            typer.echo(_conversation(each, quiet, now))


@maintenance.command("add")
def add_maintenance(
    reason: Reason,
    target: Annotated[
        list[str] | None, typer.Option(help="Which target, as often as needed; without it: all.")
    ] = None,
    start: Start = "",
    for_: For = "",
    until: Until = "",
    author: Author = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """A window that happens once. Those that recur stand in the configuration, under `maintenance`."""
    now = time.time()
    begins = _start(start, now)
    ends = _end(for_, until, begins, now)
    with opened(config, now) as (quiet, _):
        made = quiet.add_maintenance(
            author=_author(author), reason=reason, start=begins, end=ends, targets=target or [], now=now
        )
        typer.echo(window_text(made, now))
        typer.echo(f"      to end it: paciolus-monitor maintenance end {made.id}")


@maintenance.command("list")
def list_maintenance(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Windows that are open or to come, the next first, those of the configuration included."""
    now = time.time()
    with opened(config, now) as (quiet, _):
        spans = [(span, each) for each in quiet.windows() if (span := each.upcoming(now))]
        spans.sort(key=lambda pair: pair[0])
        _show([window_text(each, now) or "" for _, each in spans], "No maintenance.", now)


@maintenance.command("end")
def end_maintenance(
    number: Annotated[int, typer.Argument(help="As `maintenance list` shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Ends a window now that was entered by hand."""
    now = time.time()
    with opened(config, now) as (quiet, _):
        if not quiet.end_maintenance(number, now):
            raise typer.BadParameter(
                f"there is no window {number} left; `paciolus-monitor maintenance list` shows all",
                param_hint="NUMBER",
            )
    typer.echo(f"Window {number} is over.")


@contextmanager
def opened(path: Path, now: float) -> Iterator[Opened]:
    """The store that the configuration names. Raises ConfigError when it can't be used."""
    _check_zone()
    if not path.exists():
        raise ConfigError.at(path, "no such file; name the agent's with --config")
    config = load_config(path, without=SECRETS)
    history = History(config.database)
    try:
        store = QuietStore(history.engine)
        if not _exists(history.engine.url) or not store.ready():
            raise ConfigError.at(path, "database: no agent has used it yet; `paciolus-monitor run` does")
        quiet = Quiet(store, config)
        quiet.refresh(now)
        yield Opened(quiet, history)
    except SQLAlchemyError as error:
        raise ConfigError.at(path, f"database: {cause(error)}") from None
    except RefusedError as error:
        option = OPTIONS.get(error.field, f"--{error.field}")
        raise typer.BadParameter(str(error), param_hint=option if error.field else None) from None
    finally:
        history.close()


def _exists(url: sa.URL) -> bool:
    """Connecting to a SQLite file that is not there would make it."""
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


def _author(named: str) -> str:
    """Root is nobody in particular."""
    for found in (named, *map(os.environ.get, ("SUDO_USER", "LOGNAME", "USER"))):
        if found and (found == named or found != "root"):
            return found
    raise typer.BadParameter("nobody is logged in by name; say who you are", param_hint="--author")


def _start(text: str, now: float) -> float:
    try:
        return parse_when(text, now, None) if text else now
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--start") from None


def _end(for_: str, until: str, begins: float, now: float) -> float:
    if bool(for_) == bool(until):
        raise typer.BadParameter("give one of them, --for 2h or --until 06:00", param_hint="--for, --until")
    try:
        return begins + parse_duration(for_) if for_ else parse_when(until, max(begins, now), None)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for" if for_ else "--until") from None


def _open(history: History) -> list[Conversation]:
    return [each for each in history.conversations() if each.open]


def _meant(alert: str, standing: list[Conversation]) -> list[Conversation]:
    found = [each for each in standing if alert in (name_of(each), each.dedup_key)]
    if not found:
        there = ", ".join(sorted({name_of(each) for each in standing})) or "nothing"
        said = f"there is no alert {alert!r} that fires; {there} does"
        raise typer.BadParameter(said, param_hint="ALERT")
    return found


def _conversation(conversation: Conversation, quiet: Quiet, now: float) -> str:
    acknowledgement = quiet.acknowledged(conversation.dedup_key, now)
    withheld = quiet.withheld(conversation.alert, conversation.key.target, now)
    return conversation_text(conversation, acknowledgement, withheld, now)


def _show(entries: list[str], none: str, now: float) -> None:
    typer.echo(f"It is {clock_time(now, None)}.")
    typer.echo("\n".join(entries) if entries else none)


def _check_zone() -> None:
    """A zone that the C library does not know is UTC to it, without a word: a silence would be hours off."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if "/" not in name or "," in name or name.startswith("/"):
        return  # none, a rule such as CET-1CEST,M3.5.0/2,M10.5.0/3, or a file
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(
            f"TZ={name}: there is no such time zone", param_hint="the environment"
        ) from None

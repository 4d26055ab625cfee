"""The command line: `paciolus-monitor`."""

from __future__ import annotations

from monitor import earlystop  # isort: split

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from monitor import quietcli
from monitor.config import Config, load_config
from monitor.doctor import cli as doctorcli
from monitor.gate import cli as gatecli
from monitor.loading import objectives_of
from monitor.mistakes import did_you_mean
from monitor.objectives import load_objectives
from monitor.quantity import format_duration
from monitor.resources import resource
from monitor.yamlfile import ConfigError, load_yaml

earlystop.all_imported()

USAGE = 2
SHORTEST_PASSWORD = 8
DEFAULT_CONFIG = Path("monitor.yml")

app = typer.Typer(
    name="paciolus-monitor",
    help="Watches a web API against documented thresholds, and pages on a real fault.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The agent's configuration.")]


@app.command()
def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """The agent: probes, judges and notifies until it is stopped. /metrics and /-/healthy on its own port."""
    # One that comes before the agent can take it asks for what it is about to read anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with earlystop.importing():
        from sqlalchemy.exc import SQLAlchemyError

        from monitor.agent import Agent
        from monitor.history.claim import claimed
        from monitor.storecalls import cause

    if not config.exists():
        example = resource("alerts", "monitor.example.yml")
        raise ConfigError.at(config, f"no such file; start from {example}, or name yours with --config")
    settings = load_config(config)
    objectives = objectives_of(settings)
    start_logging()
    start_sentry()
    with contextlib.ExitStack() as held:
        listening = held.enter_context(_bound(settings))
        try:
            held.enter_context(claimed(settings.database))
            agent = Agent(settings, objectives)
            agent.restore()
        except SQLAlchemyError as error:
            raise ConfigError.at(settings.path, f"database: {cause(error)}") from None
        log = logging.getLogger("monitor")
        log.info("watching %s; /metrics on %s", ", ".join(t.name for t in settings.targets), settings.listen)
        if settings.shorten_windows != 1:
            log.warning("windows are %g times shorter than documented", settings.shorten_windows)
        uvloop.run(agent.run(listening))


@app.command()
def check(
    url: str,
    timeout: Annotated[float, typer.Option(help="Total deadline in seconds.", min=0.05, max=300)] = 10.0,
    explain: Annotated[bool, typer.Option("--explain", help="Say what it means.")] = False,
    json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """One probe of URL: phases, verdict and reason. Exit status 0 if it answered as expected, else 1."""
    from monitor import check as checking

    result = checking.probe(url, timeout)
    if json:
        typer.echo(checking.as_json(url, result))
    else:
        checking.show(Console(highlight=False), url, result, explain=explain)
    raise typer.Exit(0 if result.success else 1)


@app.command()
def validate(
    files: Annotated[list[Path] | None, typer.Argument(help="objectives.yml or monitor.yml files.")] = None,
) -> None:
    """Checks configuration and objectives. Exit status 2, with file and line, on a mistake."""
    wrong = False
    for path in files or _default_files():
        try:
            typer.echo(_validated(path))
        except ConfigError as error:
            typer.echo(str(error), err=True)
            wrong = True
    raise typer.Exit(USAGE if wrong else 0)


@app.command()
def render(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file is out of date.")
    ] = False,
) -> None:
    """Writes what follows from alerts/objectives.yml: docs/thresholds.md and dashboards/."""
    from monitor.render import out_of_date, write

    if not check:
        for path in write():
            typer.echo(f"wrote {path}")
        return
    if difference := out_of_date():
        typer.echo(difference, err=True)
        raise typer.Exit(1)


@app.command()
def report(
    month: Annotated[str, typer.Option(help="Such as 2026-10, in UTC; the last one that is over.")] = "",
    markdown: Annotated[bool, typer.Option("--md", help="As Markdown.")] = False,
    json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    html: Annotated[bool, typer.Option("--html", help="As one file for a browser.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """A month: uptime, error budget, incidents, slowest hours. Exit status 1 if nothing is known of it."""
    with earlystop.importing():
        from monitor.report import command, forms

    if markdown + json + html > 1:
        raise typer.BadParameter("choose one of them", param_hint="--md, --json, --html")
    settings = load_config(config)
    try:
        made = command.make(month, settings, objectives_of(settings), time.time())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from None
    if made.empty:
        typer.echo(command.nothing(made), err=True)
        raise typer.Exit(1)
    if form := "md" if markdown else "json" if json else "html" if html else "":
        typer.echo(forms.WRITTEN[form](made), nl=False)
    else:
        forms.show(Console(highlight=False), made)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit when the story is told: 0 if it all happened.")
    ] = False,
) -> None:
    """The API, the agent and an inbox on this machine; a fault, a page, healed, resolved."""
    from monitor.demo import tell

    raise typer.Exit(tell(once=once))


@app.command(name="break")
def break_(name: Annotated[str, typer.Argument(help="Which fault; without it: the list.")] = "") -> None:
    """Breaks something in the running demo, from outside the API."""
    from monitor.demo import ask

    raise typer.Exit(ask("break", name))


@app.command()
def heal(name: Annotated[str, typer.Argument(help="Which fault; without it: all.")] = "") -> None:
    """Mends what `break` broke in the running demo."""
    from monitor.demo import ask

    raise typer.Exit(ask("heal", name))


app.add_typer(gatecli.app, name="gate")
app.command()(doctorcli.doctor)
app.add_typer(quietcli.silence, name="silence")
app.add_typer(quietcli.maintenance, name="maintenance")
app.command()(quietcli.ack)

web = typer.Typer(help="The agent's page.", no_args_is_help=True)
app.add_typer(web, name="web")


@web.command("hash-password")
def hash_password() -> None:
    """Asks for a password, or takes a line from a pipe, and prints the hash for web.users in monitor.yml."""
    from argon2 import PasswordHasher

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST_PASSWORD:
        raise typer.BadParameter(f"expected at least {SHORTEST_PASSWORD} characters", param_hint="password")
    typer.echo(PasswordHasher().hash(password))


@app.command()
def inbox(
    listen: Annotated[str, typer.Option(help="Address and port.")] = "127.0.0.1:9099",
) -> None:
    """Receives Alertmanager's webhook (POST /alerts) and shows the last notifications; keeps none on disk."""
    from monitor.fields import parse_listen
    from monitor.inbox import serve

    try:
        host, port = parse_listen(listen)
        listening = _listening(host, port)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(f"{listen}: {error}", param_hint="--listen") from None
    start_logging()
    logging.getLogger("monitor").info("taking notifications on http://%s/alerts", listen)
    serve(listening)


alerts = typer.Typer(name="alerts", help="What the agent tells people.", no_args_is_help=True)
app.add_typer(alerts)


@alerts.command("test")
def alerts_test(
    receiver: Annotated[str, typer.Argument(help="One of those under `notify`; without it: all.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Sends a sample that says TEST, and its end, and shows what came back. Exit status 1 if any failed."""
    import asyncio

    from monitor.notify.trial import try_all

    settings = load_config(config)
    receivers = [each for each in settings.notify if receiver in ("", each.name)]
    if not settings.notify:
        raise ConfigError.at(config, "notify: nobody would be told; add a receiver")
    if not receivers:
        cure = did_you_mean(receiver, [each.name for each in settings.notify])
        raise ConfigError.at(config, f"notify: there is no receiver {receiver!r}{cure}")
    start_logging()
    tried = asyncio.run(try_all(settings, receivers, time.time()))
    for who, kind, delivered, said, took in tried:
        outcome = said if delivered else f"FAILED: {said}"
        typer.echo(f"{who.name} ({who.kind}): {kind}: {outcome} ({format_duration(round(took, 3))})")
    raise typer.Exit(0 if all(each.delivered for each in tried) else 1)


def _default_files() -> list[Path]:
    ours = [resource("alerts", name) for name in ("objectives.yml", "gate.yml")]
    return [*ours, *([DEFAULT_CONFIG] if DEFAULT_CONFIG.exists() else [])]


def _validated(path: Path) -> str:
    keys = load_yaml(path).root
    if isinstance(keys, dict) and "profiles" in keys:
        from monitor.gate.command import loaded

        gate = loaded(path, None)
        return f"{path}: {len(gate.claims)} checks, {len(gate.profiles)} profiles, no mistakes"
    if isinstance(keys, dict) and "objectives" in keys and "targets" not in keys:
        return f"{path}: {len(load_objectives(path))} objectives, no mistakes"
    config = load_config(path)
    objectives_of(config)
    return f"{path}: {len(config.targets)} targets, {len(config.notify)} notifiers, no mistakes"


def _bound(config: Config) -> socket.socket:
    try:
        return _listening(config.host, config.port)
    except OSError as error:
        raise ConfigError.at(
            config.path,
            f"can't listen on {config.listen}: {error.strerror}; is another agent running? "
            "Choose another port with `listen:`",
        ) from None


def _listening(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def start_logging() -> None:
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)


def start_sentry() -> None:
    """Silent unless SENTRY_DSN is set (operations document, §9.1)."""
    if dsn := os.environ.get("SENTRY_DSN"):
        with earlystop.importing():
            import sentry_sdk

        sentry_sdk.init(
            dsn=dsn,
            environment=os.environ.get("ENV_MODE", "development"),
            traces_sample_rate=0.1,
            # They would change libraries for the whole process: how forms are read, who closes their files.
            auto_enabling_integrations=False,
        )


def main() -> None:
    """Mistakes in files end with status 2 and their lines, never with a traceback."""
    try:
        app()
    except ConfigError as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        errors.print("Stopped.")
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()

"""What `paciolus-monitor doctor` does between its arguments and its exit status."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.console import Console

from monitor.doctor.as_json import as_json
from monitor.doctor.examine import examine
from monitor.doctor.model import Report
from monitor.doctor.terminal import show
from monitor.doctor.visit import Patient
from monitor.fields import parse_http_url, parse_url
from monitor.gate.command import loaded
from monitor.interruption import Interruption
from monitor.yamlfile import ConfigError


@dataclass(frozen=True, slots=True)
class Given:
    """As it stands on the command line or in the environment; "" is what was left out."""

    target: str
    config: Path | None
    origin: str
    token: str = field(repr=False)
    email: str
    password: str = field(repr=False)
    register: bool
    metrics: str
    database: str = field(repr=False)


def run(given: Given, json: Path | None) -> int:
    """Returns the exit status. Raises ConfigError and typer.BadParameter, before anything is asked."""
    patient = patient_of(given)
    with _telling() as began:
        report = _examined(patient, began)
    show(Console(highlight=False), report)
    if json is not None:
        _write(json, as_json(report))
    return int(report.exit())


def patient_of(given: Given) -> Patient:
    """What the command line leaves out comes from gate.yml, as for the gate."""
    config = loaded(given.config, None)
    email, password = given.email or config.account.email, given.password or config.account.password
    if bool(email) != bool(password):
        missing = "--password" if email else "--email"
        raise typer.BadParameter("e-mail address and password belong together", param_hint=missing)
    if given.register and email:
        raise typer.BadParameter(
            "there is an account already; leave one of them out", param_hint="--register"
        )
    return Patient(
        target=_url(parse_url, given.target, "URL"),
        config=config,
        origin=_url(parse_http_url, given.origin, "--origin") if given.origin else config.frontend,
        token=given.token,
        email=email,
        password=password,
        register=given.register,
        metrics=_url(parse_http_url, given.metrics, "--metrics") if given.metrics else config.metrics.url,
        metrics_token=config.metrics.token,
        database=given.database,
    )


def _url(parse: Callable[[object], str], written: str, option: str) -> str:
    try:
        return parse(written)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _examined(patient: Patient, began: Callable[[str], None]) -> Report:
    """A signal cancels it; then it cleans up, and there is a report all the same."""
    interruption = Interruption()

    async def examined() -> Report:
        interruption.cancels(asyncio.current_task())
        return await examine(patient, began=began)

    interruption.arm()
    report = asyncio.run(examined())
    return dataclasses.replace(report, interrupted=report.interrupted or interruption.number is not None)


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Where there is a terminal, what is being looked at."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("looking at the first answer") as status:
        yield lambda name: status.update(f"looking at {name}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError.at(path, f"can't be written: {error.strerror}") from None

"""`paciolus-monitor doctor`. What it needs is imported when it runs: other commands start without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor import earlystop


def doctor(
    url: Annotated[str, typer.Argument(help="The API, such as https://api.example.com.")],
    origin: Annotated[str, typer.Option(help="The frontend's address; else that of gate.yml.")] = "",
    token: Annotated[
        str, typer.Option(envvar="GATE_TOKEN", help="One that is refused. It is read, and tried.")
    ] = "",
    email: Annotated[str, typer.Option(envvar="GATE_EMAIL", help="Of an account to log in with.")] = "",
    password: Annotated[
        str, typer.Option(envvar="GATE_PASSWORD", help="Better given in the environment.")
    ] = "",
    register: Annotated[
        bool, typer.Option("--register", help="Make an account, and delete it again.")
    ] = False,
    metrics: Annotated[str, typer.Option(envvar="GATE_METRICS", help="Where its /metrics is.")] = "",
    database_url: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="Of the API: it is read, and tried from here.")
    ] = "",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Another gate.yml.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON there.")] = None,
) -> None:
    """What is wrong with an API, why, and what to do: CORS, JWT, database, and the way there.

    Exit status 0 nothing found, 1 trouble, 2 usage, 4 unreachable, 5 the doctor failed, 130 interrupted.
    Secrets are better given in the environment: others see a command line.
    """
    with earlystop.importing():
        from monitor.doctor import command

    given = command.Given(
        target=url,
        config=config,
        origin=origin,
        token=token,
        email=email,
        password=password,
        register=register,
        metrics=metrics,
        database=database_url,
    )
    raise typer.Exit(command.run(given, json))

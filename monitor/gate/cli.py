"""`paciolus-monitor gate`. What it needs is imported when it runs: other commands start without it."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor import earlystop

app = typer.Typer(help="May this go out? Asks a target, and answers with evidence.", add_completion=False)


class OnInconclusive(StrEnum):
    FAIL = "fail"
    PASS = "pass"  # noqa: S105
    WAIT = "wait"


def _report(form: str) -> Any:
    return typer.Option(f"--{form}", help=f"Write the report as {form} there.")


@app.callback(invoke_without_command=True)
def gate(
    context: typer.Context,
    target: Annotated[str, typer.Option(help="The API, such as https://api.example.com.")] = "",
    profile: Annotated[str, typer.Option(help="Of gate.yml.")] = "post-deploy",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Another gate.yml.")] = None,
    objectives: Annotated[Path | None, typer.Option(help="Another objectives.yml.")] = None,
    waivers: Annotated[Path, typer.Option(help="What may fail for a time.")] = Path("gate-waivers.yml"),
    max_time: Annotated[str, typer.Option(help="In place of the profile's, such as 120s.")] = "",
    max_requests: Annotated[int, typer.Option(help="In place of the profile's.", min=0)] = 0,
    on_inconclusive: Annotated[
        OnInconclusive, typer.Option(help="What counts when nobody knows.")
    ] = OnInconclusive.FAIL,
    baseline: Annotated[
        str, typer.Option(help="What it must not be worse than: last-pass, a URL, or a JSON report.")
    ] = "",
    source: Annotated[
        str, typer.Option("--from", help="Of objectives: probes, history or prometheus=URL.")
    ] = "probes",
    store: Annotated[bool, typer.Option(help="Keep the run in the history, if there is one.")] = True,
    github: Annotated[bool, typer.Option("--github", help="Summary and annotations for GitHub.")] = False,
    junit: Annotated[Path | None, _report("junit")] = None,
    json: Annotated[Path | None, _report("json")] = None,
    md: Annotated[Path | None, _report("md")] = None,
    sarif: Annotated[Path | None, _report("sarif")] = None,
) -> None:
    """Exit status 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 unreachable, 5 source error, 130 interrupted."""
    if context.invoked_subcommand is not None:
        return
    with earlystop.importing():
        from monitor.gate import command

    asked = command.Asked(
        target=target,
        profile=profile,
        config=config,
        objectives=objectives,
        waivers=waivers,
        max_time=max_time,
        max_requests=max_requests,
        on_inconclusive=on_inconclusive.value,
        source=source,
        baseline=baseline,
        store=store,
        github=github,
    )
    forms = {"junit": junit, "json": json, "md": md, "sarif": sarif}
    raise typer.Exit(command.run(asked, {form: path for form, path in forms.items() if path is not None}))


@app.command()
def plan(
    profile: Annotated[str, typer.Option(help="Of gate.yml.")] = "post-deploy",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Another gate.yml.")] = None,
    objectives: Annotated[Path | None, typer.Option(help="Another objectives.yml.")] = None,
    request_time: Annotated[str, typer.Option(help="How long one request takes.")] = "100ms",
) -> None:
    """Time, requests, and what can be seen with them: before anything is asked."""
    with earlystop.importing():
        from monitor.gate import command

    settings = command.loaded(config, objectives)
    seconds = command.duration(request_time, "--request-time") or 0.0
    typer.echo(command.planned(command.profile_of(settings, profile), settings, seconds))


@app.command()
def explain(report: Annotated[Path, typer.Argument(help="Written by --json.")]) -> None:
    """A report as a story: what was slow or failed, in which phase, and what else was seen meanwhile."""
    with earlystop.importing():
        from rich.console import Console

        from monitor.gate import explain as explaining
        from monitor.gate.reports import read_report

    explaining.show(Console(highlight=False), read_report(report))


@app.command()
def replay(
    target: Annotated[str, typer.Option(help="As the agent calls it; all that it watches.")] = "",
    profile: Annotated[str, typer.Option(help="Of gate.yml.")] = "post-deploy",
    source: Annotated[str, typer.Option("--from", help="history is what there is.")] = "history",
    since: Annotated[str, typer.Option(help="How far back.")] = "30d",
    every: Annotated[str, typer.Option(help="One gate in so much time.")] = "1h",
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Another gate.yml.")] = None,
    objectives: Annotated[Path | None, typer.Option(help="Another objectives.yml.")] = None,
    json: Annotated[Path | None, _report("json")] = None,
) -> None:
    """How often the gate would have blocked, when and why, as far as the agent's history can tell.

    Exit status 0 when it could tell, 5 when there is no history to tell of.
    """
    with earlystop.importing():
        from monitor.gate import replay_command as command

    asked = command.Asked(target, profile, source, since, every, config, objectives, json)
    raise typer.Exit(command.run(asked, time.time()))


@app.command()
def waive(
    check: str,
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why it may fail.")],
    expires: Annotated[str, typer.Option(help="2026-12-15, or a duration such as 14d.")],
    waivers: Annotated[Path, typer.Option(help="The file.")] = Path("gate-waivers.yml"),
) -> None:
    """Lets a check fail for a time. It is looked at all the same, and printed in every report."""
    with earlystop.importing():
        from monitor.gate import command

    typer.echo(command.excuse(waivers, check, owner, reason, expires))

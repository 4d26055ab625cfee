"""Runs of the gate in the agent's store. Every function blocks and raises SQLAlchemyError."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from monitor.config import Target
from monitor.gate.model import Exit, Report
from monitor.gate.reports import load_report, words
from monitor.gate.reports.as_json import as_json
from monitor.history.tables import gate_runs
from monitor.history.writing import storable

KNOWN = (Exit.PASS, Exit.FAIL)
"""What says something about the target; after all others nobody knows."""


class GateRun(NamedTuple):
    """`at` and `ended` in seconds since the epoch; `target` is a URL; `summary` counts the checks."""

    id: int
    at: float
    ended: float
    target: str
    profile: str
    exit: int
    summary: str

    @property
    def passed(self) -> bool | None:
        """None: nobody knows."""
        return self.exit == Exit.PASS if self.exit in KNOWN else None


def watched_name(url: str, targets: Iterable[Target]) -> str:
    """Of the first target with this URL; "" for what the agent does not watch."""
    return next((each.name for each in targets if each.url == url), "")


_COLUMNS = [gate_runs.c[name] for name in GateRun._fields]


def add(engine: sa.Engine, report: Report) -> None:
    values = {
        "at": report.began,
        "ended": report.ended,
        "target": storable(report.target),
        "profile": storable(report.profile),
        "exit": int(report.exit()),
        "summary": words.summary(report),
        "report": storable(as_json(report)),
    }
    with engine.begin() as connection:
        connection.execute(gate_runs.insert().values(**values))


def since(
    engine: sa.Engine, at: float, targets: Iterable[str] | None = None, most: int = 50
) -> list[GateRun]:
    """The newest first."""
    query = sa.select(*_COLUMNS).where(gate_runs.c.at >= at)
    if targets is not None:
        query = query.where(gate_runs.c.target.in_(list(targets)))
    return _runs(engine, query.order_by(gate_runs.c.at.desc(), gate_runs.c.id.desc()).limit(most))


def latest(engine: sa.Engine) -> list[GateRun]:
    """Of each target and profile."""
    by = (gate_runs.c.target, gate_runs.c.profile)
    newest = sa.select(sa.func.max(gate_runs.c.id)).group_by(*by)
    return _runs(engine, sa.select(*_COLUMNS).where(gate_runs.c.id.in_(newest)).order_by(*by))


def last_pass(engine: sa.Engine, target: str, profile: str) -> Report | None:
    """The baseline that `last-pass` means. One of another version of the report's form is none."""
    same = (
        gate_runs.c.target == target,
        gate_runs.c.profile == profile,
        gate_runs.c.exit == int(Exit.PASS),
    )
    query = sa.select(gate_runs.c.report).where(*same).order_by(gate_runs.c.at.desc()).limit(1)
    with engine.connect() as connection:
        found = connection.execute(query).scalar_one_or_none()
    try:
        return None if found is None else load_report(found)
    except ValueError:
        return None


def report_of(engine: sa.Engine, number: int) -> str | None:
    """The JSON report of a run."""
    with engine.connect() as connection:
        query = sa.select(gate_runs.c.report).where(gate_runs.c.id == number)
        return connection.execute(query).scalar_one_or_none()


def _runs(engine: sa.Engine, query: sa.Select[Any]) -> list[GateRun]:
    with engine.connect() as connection:
        return [GateRun(*row) for row in connection.execute(query)]

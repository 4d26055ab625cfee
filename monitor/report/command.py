"""What `paciolus-monitor report` does between its arguments and its output."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.config import Config
from monitor.history import History
from monitor.objectives import Objectives
from monitor.report.build import Report, build
from monitor.report.month import month_before, parse_month
from monitor.report.words import moment
from monitor.storecalls import cause
from monitor.yamlfile import ConfigError


def make(written: str, config: Config, objectives: Objectives, now: float) -> Report:
    """Of the month as it was `written`, or of the last one that is over.

    Raises ValueError for what is no month, or none that has begun; ConfigError when the store can't be read.
    """
    month = parse_month(written) if written else month_before(now)
    if month.since > now:
        raise ValueError(f"{month} has not begun yet: it is {moment(now)} UTC")
    checks = {(target.name, check.name) for target in config.targets for check in target.checks}
    store = _opened(config)
    try:
        return build(store.read, objectives, month, now, checks)
    except SQLAlchemyError as error:
        raise ConfigError.at(config.path, f"database: {cause(error)}") from None
    finally:
        store.close()


def _opened(config: Config) -> History:
    """Asking for a report makes no database."""
    where = sa.make_url(config.database)
    if where.get_backend_name() == "sqlite" and where.database and not Path(where.database).exists():
        raise ConfigError.at(
            config.path, f"database: there is no file {where.database}; it comes with `paciolus-monitor run`"
        )
    store = History(config.database)
    try:
        store.create()
    except SQLAlchemyError as error:
        store.close()
        raise ConfigError.at(config.path, f"database: {cause(error)}") from None
    return store


def nothing(report: Report) -> str:
    return f"{report.month}: no probe was recorded and nothing fired, from {moment(report.since)} UTC on"

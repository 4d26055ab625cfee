"""monitor.yml and objectives.yml as one thing: what the agent is told to do, and the files that say it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monitor.config import Config
from monitor.objectives import Objectives, load_objectives, shortened
from monitor.quantity import format_duration
from monitor.resources import resource
from monitor.yamlfile import ConfigError, Mistake


def objectives_of(config: Config) -> Objectives:
    """Those that the agent holds its targets against. Raises ConfigError."""
    objectives = shortened(load_objectives(objectives_file(config)), config.shorten_windows)
    if mistakes := list(_too_seldom(config, objectives)):
        raise ConfigError(mistakes)
    return objectives


def objectives_file(config: Config) -> Path:
    return config.objectives or resource("alerts", "objectives.yml")


def files_of(config: Config) -> tuple[Path, ...]:
    """All that was read for it, or is whenever something is sent."""
    requests = (check.request for target in config.targets for check in target.checks)
    options = (each.options for each in config.notify)
    trusted = (getattr(each, "ca_file", None) for each in (*requests, *options))
    return config.path, objectives_file(config), *sorted({Path(each) for each in trusted if each})


def _too_seldom(config: Config, objectives: Objectives) -> Iterator[Mistake]:
    """A rate needs two samples in its window; with fewer the objective would always be UNKNOWN."""
    for target in config.targets:
        checks = {check.name for check in target.checks}
        fed = [objective for objective in objectives if objective.check in checks]
        tightest = min(fed, key=lambda objective: objective.window, default=None)
        if tightest and tightest.window < 2 * target.interval:
            yield Mistake(
                config.path,
                None,
                f"targets: {target.name}: an interval of {format_duration(target.interval)} is too long for "
                f"{tightest.name}, whose window of {format_duration(tightest.window)} must hold two",
            )

"""The shipped configuration with this machine's addresses; and, for tests and demonstrations, in a hurry."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from monitor.objectives import load_objectives, shortened
from monitor.quantity import format_duration
from monitor.render.rules import Pace, rules_file
from monitor.resources import ROOT
from monitor.stack.ports import Ports, relocated

SHIPPED = ("prometheus.yml", "alerts")
"""What containers see of the repository, Grafana's own files left out."""
TIMEOUT = 0.9
"""Of the interval, for what is asked so often."""
SCRAPES_IN_A_WINDOW = 3
"""A rate takes two, and the newest scrape may not be stored yet when a rule looks."""


class HurryError(Exception):
    """The message says what is possible instead."""


@dataclass(frozen=True, slots=True)
class Hurry:
    """Windows `shorten` times shorter; scrapes, probes and evaluations every `interval` seconds.

    Raises HurryError when the shortest window would hold too few scrapes.
    """

    shorten: float
    interval: float

    def __post_init__(self) -> None:
        objectives = load_objectives(ROOT / "alerts" / "objectives.yml")
        shortest, needed = min(each.window for each in objectives) / self.shorten, SCRAPES_IN_A_WINDOW
        if shortest < needed * self.interval:
            raise HurryError(
                f"windows {self.shorten:g} times shorter are as short as {format_duration(shortest)}, and "
                f"{needed} scrapes must fit in: --interval may be {shortest / needed:.3g}s at most, "
                f"or --shorten {shortest * self.shorten / needed / self.interval:.3g}"
            )

    @property
    def every(self) -> str:
        return f"{self.interval * 1000:.0f}ms"

    @property
    def timeout(self) -> str:
        return f"{self.interval * TIMEOUT * 1000:.0f}ms"


def write_files(folder: Path, ports: Ports, hurry: Hurry | None = None) -> None:
    """Into `folder`, as the repository has them: prometheus.yml beside alerts/."""
    for source in shipped_files():
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(relocated(source.read_text(encoding="utf-8"), ports), encoding="utf-8")
        shutil.copymode(source, target)
    if hurry:
        _hasten(folder, hurry)


def shipped_files() -> Iterator[Path]:
    for name in SHIPPED:
        yield from (file for file in (ROOT / name, *sorted((ROOT / name).rglob("*"))) if file.is_file())


def _hasten(folder: Path, hurry: Hurry) -> None:
    alerts = folder / "alerts"
    _edit(folder / "prometheus.yml", lambda config: _prometheus(config, hurry))
    _edit(alerts / "monitor.stack.yml", lambda config: _agent(config, hurry))
    objectives = shortened(load_objectives(alerts / "objectives.yml"), hurry.shorten)
    rules = rules_file(objectives, Pace(hurry.interval, hurry.interval, hurry.interval))
    (alerts / "rules.yml").write_text(rules, encoding="utf-8")
    grouping = (alerts / "alertmanager.yml").read_text(encoding="utf-8")
    (alerts / "alertmanager.yml").write_text(_grouping(grouping, hurry), encoding="utf-8")


def _edit(file: Path, change: Any) -> None:
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    change(config)
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _prometheus(config: dict[str, Any], hurry: Hurry) -> None:
    config["global"] |= {
        "scrape_interval": hurry.every,
        "scrape_timeout": hurry.timeout,
        "evaluation_interval": hurry.every,
    }
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)


def _agent(config: dict[str, Any], hurry: Hurry) -> None:
    config["shorten_windows"] = hurry.shorten
    config["notify"]["alertmanager"]["resend"] = hurry.every
    for target in config["targets"]:
        target["interval"] = hurry.every
        for check in target["checks"].values():
            check["timeout"] = hurry.timeout


def _grouping(text: str, hurry: Hurry) -> str:
    """By lines: what start-alertmanager adds to this file is in its comments."""
    return re.sub(r"\b(group_wait|group_interval): \w+", rf"\1: {hurry.every}", text)


def pace_words(hurry: Hurry | None) -> str:
    if hurry is None:
        return "Documented thresholds and windows."
    every = format_duration(hurry.interval)
    return f"Documented thresholds; windows {hurry.shorten:g} times shorter; asked every {every}."

"""Objectives, targets and notifiers with everything filled in, but what the test is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from exporters.http import Request
from monitor.alerting import Alert, Key, State
from monitor.config import CheckConfig, NotifierConfig, Target
from monitor.notify import NOTIFIERS
from monitor.objectives import NoData, Objective
from monitor.quantity import parse_threshold
from monitor.selector import parse_selector
from monitor.slis import Gauge

FIRING = Alert(
    key=Key("error-rate", "api", "metrics"),
    state=State.FIRING,
    since=100.25,
    last_broken=160.5,
    severity="page",
    title="Server errors (5xx / all requests)",
    value="7.1 %",
    threshold="above 5 %",
    reason="71 of 1000 requests in the last 5 min",
    runbook="docs/runbooks/error-rate.md",
    fired_at=160.5,
)
RESOLVED = replace(FIRING, state=State.RESOLVED, resolved_at=300.0)


def objective(name: str, **changes: Any) -> Objective:
    """A gauge above 5, judged by the metrics check."""
    fields: dict[str, Any] = {
        "title": name.capitalize(),
        "document": "§1: made up",
        "sli": Gauge(parse_selector("m")),
        "check": "metrics",
        "breach": parse_threshold("above 5"),
        "window": 60.0,
        "for_": 60.0,
        "keep_firing_for": 60.0,
        "severity": "page",
        "minimum_samples": 1,
        "no_data": NoData(after=300.0, severity="ticket"),
        "runbook": f"docs/runbooks/{name}.md",
    }
    return Objective(name=name, **fields | changes)


def target(
    name: str = "api", *, interval: float = 30.0, checks: tuple[str, ...] = ("health", "metrics")
) -> Target:
    kinds = {"metrics": "scrape"}
    made = (CheckConfig(check, kinds.get(check, "http"), f"/{check}", Request(url="")) for check in checks)
    return Target(name, "http://127.0.0.1:9", interval, tuple(made))


def notifier(name: str, *, url: str) -> NotifierConfig:
    return notifier_of("webhook", name, url=url)


def notifier_of(kind: str, name: str = "on-call", timeout: float = 5.0, **options: Any) -> NotifierConfig:
    """Of any kind; `options` are its own keys."""
    made = NOTIFIERS[kind].takes(**options)
    return NotifierConfig(name, kind, made, timeout=timeout, severities=("page", "ticket", "info"))

"""Objectives, targets and notifiers with everything filled in, but what the test is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from exporters.http import Request
from monitor.alerting import Alert, Key, State
from monitor.config import CheckConfig, NotifierConfig, Target
from monitor.history import History
from monitor.metrics import AgentMetrics
from monitor.notify import NOTIFIERS, Notifier
from monitor.notify.journal import settle
from monitor.notify.outbox import Outbox
from monitor.objectives import NoData, Objective
from monitor.quantity import parse_threshold
from monitor.recorder import Recorder
from monitor.selector import parse_selector
from monitor.slis import Gauge
from monitor.storecalls import StoreCalls

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


def recorder_of(
    store: History,
    metrics: AgentMetrics,
    clock: Callable[[], float],
    notifiers: Mapping[str, Notifier] | None = None,
) -> tuple[Recorder, Outbox]:
    """As the agent makes them; nothing is stored or sent unless it is asked for."""
    calls = StoreCalls(store.engine)
    written = partial(calls, partial(settle, store.engine))
    made = Outbox(written, notifiers or {}, metrics, clock)
    return Recorder(store, calls, metrics, clock, made), made


def notifier(name: str, *, url: str) -> NotifierConfig:
    return notifier_of("webhook", name, url=url)


def notifier_of(kind: str, name: str = "on-call", timeout: float = 5.0, **options: Any) -> NotifierConfig:
    """Of any kind; `options` are its own keys."""
    made = NOTIFIERS[kind].takes(**options)
    return NotifierConfig(name, kind, made, timeout=timeout, severities=("page", "ticket", "info"))

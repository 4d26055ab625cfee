"""A notification as it is kept and sent: the body of Alertmanager's webhook, version 4, so its receivers take
ours too.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from monitor.alerting import NO_DATA, NO_LONGER_WATCHED, Alert, State
from monitor.conversations import Kind
from monitor.links import PROBES, Links, panel_link
from monitor.notify.facts import Facts
from monitor.notify.page import shortened
from monitor.notify.runbooks import first_step
from monitor.objectives import Objectives
from monitor.quantity import format_duration
from monitor.words import description, nobody_knows

NEVER = "0001-01-01T00:00:00Z"
LONGEST = 2000
"""Characters of one annotation: Alertmanager and the outbox keep all of them."""
LONGEST_STEP = 400
BEFORE, AFTER = 1800.0, 600.0
"""Seconds that a dashboard shows before an alert began and after it ended."""


def page_json(
    receiver: str,
    kind: Kind | None,
    alert: Alert,
    key: str,
    facts: Facts,
    objectives: Objectives | None = None,
) -> str:
    """What the outbox keeps for one receiver. `key` is the conversation's: the same from its first
    word to its last.

    Without a `kind`: firing or resolved, as the alert is.
    """
    return json.dumps(page_body(receiver, kind, alert, key, facts, objectives), ensure_ascii=False)


def page_body(
    receiver: str,
    kind: Kind | None,
    alert: Alert,
    key: str,
    facts: Facts,
    objectives: Objectives | None = None,
) -> dict[str, Any]:
    """Description and dashboard are left out unless the alert's objective is among `objectives`."""
    said = alert_body(alert, objectives, facts, kind=kind, key=key)
    return {
        "version": "4",
        "groupKey": f"{alert.key.target}/{alert.key.check}/{alert.key.name}",
        "truncatedAlerts": 0,
        "status": said["status"],
        "receiver": receiver,
        "groupLabels": {"alertname": alert.key.name, "target": alert.key.target},
        "commonLabels": said["labels"],
        "commonAnnotations": said["annotations"],
        "externalURL": facts.links.page,
        "alerts": [said],
    }


def alert_body(
    alert: Alert,
    objectives: Objectives | None,
    facts: Facts | None = None,
    *,
    kind: Kind | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """The labels are those of the alert in alerts/rules.yml: for Alertmanager they are one."""
    kind = kind or (Kind.RESOLVED if alert.state is State.RESOLVED else Kind.FIRING)
    return {
        "status": "resolved" if kind is Kind.RESOLVED else "firing",
        "labels": {
            "alertname": alert.key.name,
            "target": alert.key.target,
            "check": alert.key.check,
            "severity": alert.severity,
        },
        "annotations": {
            name: shortened(text, LONGEST) for name, text in _said(alert, objectives, facts, kind)
        },
        "startsAt": rfc3339(alert.since),
        "endsAt": rfc3339(_ended(alert)) if kind is Kind.RESOLVED else NEVER,
        "generatorURL": "",
        "fingerprint": key or dedup_key(alert),
    }


def _said(
    alert: Alert, objectives: Objectives | None, facts: Facts | None, kind: Kind
) -> Iterator[tuple[str, str]]:
    yield "summary", summary(alert, kind, facts)
    yield "value", alert.value
    yield "threshold", alert.threshold
    yield "reason", alert.reason
    yield "runbook", alert.runbook
    background = _background(alert, objectives) if objectives else {}
    yield from background.items()
    if facts:
        panel = background.get("dashboard", "")
        yield from ((name, text) for name, text in _facts(alert, facts, kind, panel) if text)


def _facts(alert: Alert, facts: Facts, kind: Kind, panel: str) -> Iterator[tuple[str, str]]:
    yield "kind", kind
    yield "at", rfc3339(facts.at)
    yield "since", rfc3339(alert.since)
    yield "phase", facts.phase if kind is not Kind.RESOLVED else ""
    yield "last_good", facts.last_good if kind is not Kind.RESOLVED else ""
    yield "also", "\n".join(facts.also)
    yield "deploy", facts.deploy
    yield "note", facts.note
    yield (
        "first_step",
        shortened(first_step(alert.runbook), LONGEST_STEP) if kind is not Kind.RESOLVED else "",
    )
    yield "runbook_link", _runbook_link(alert.runbook, facts.links)
    yield "dashboard_link", _dashboard_link(alert, panel, kind, facts.links)
    if kind is not Kind.RESOLVED:
        yield "silence", silence_command(alert)
        yield (
            "silence_link",
            f"{facts.links.page}/targets/{alert.key.target}#silence" if facts.links.page else "",
        )


def silence_command(alert: Alert) -> str:
    """For an hour; whoever runs it says who and why."""
    which = f"--target {shlex.quote(alert.key.target)} --name {shlex.quote(alert.key.name)}"
    return f'paciolus-monitor silence add {which} --for 1h --author YOU --reason "…"'


def _runbook_link(runbook: str, links: Links) -> str:
    """The agent's own page shows runbooks too."""
    if runbook.startswith(("https://", "http://")):
        return runbook
    if links.runbooks:
        return f"{links.runbooks}/{runbook}"
    return f"{links.page}/runbooks/{PurePosixPath(runbook).stem}" if links.page else ""


def _dashboard_link(alert: Alert, panel: str, kind: Kind, links: Links) -> str:
    """With the time range of the alert; the agent's own page where there is no Grafana."""
    if links.dashboards and panel:
        until = f"{(_ended(alert) + AFTER) * 1000:.0f}" if kind is Kind.RESOLVED else "now"
        joint = "&" if "?" in panel else "?"
        return f"{links.dashboards}/{panel}{joint}from={(alert.since - BEFORE) * 1000:.0f}&to={until}"
    return f"{links.page}/targets/{alert.key.target}" if links.page else ""


def _background(alert: Alert, objectives: Objectives) -> dict[str, str]:
    if alert.key.name == NO_DATA:
        blinded = [each for each in objectives if each.check == alert.key.check]
        return {"description": nobody_knows(blinded), "dashboard": f"d/{PROBES}"}
    try:
        objective = objectives.by_name(alert.key.name)
    except KeyError:
        return {}
    return {
        "description": description(objective, alert.key.target, alert.value),
        "dashboard": panel_link(objectives, objective),
    }


def summary(alert: Alert, kind: Kind | None = None, facts: Facts | None = None) -> str:
    """One line that stands alone on a lock screen."""
    return f"{alert.key.target}: {alert.title}: {_state_of_it(alert, kind, facts)}"


def _state_of_it(alert: Alert, kind: Kind | None, facts: Facts | None) -> str:
    limit = f"(alert when {alert.threshold})"
    if kind is Kind.RESOLVED or (kind is None and alert.state is State.RESOLVED):
        if alert.reason == NO_LONGER_WATCHED:
            return f"no longer watched; last seen at {alert.value}"
        return f"good again after {format_duration(_ended(alert) - alert.since)} ({alert.value})"
    lasted = format_duration(float(round((facts.at if facts else alert.last_broken) - alert.since)))
    match kind:
        case Kind.REMINDER:
            return f"still {alert.value} after {lasted} {limit}"
        case Kind.ESCALATION:
            return f"{alert.value} for {lasted}, and nobody has acknowledged it {limit}"
        case Kind.FLAPPING:
            return f"comes and goes, now {alert.value} {limit}"
        case Kind.ACKNOWLEDGED:
            return f"acknowledged after {lasted} ({alert.value})"
        case _:
            return f"{alert.value} {limit}"


def _ended(alert: Alert) -> float:
    return alert.resolved_at if alert.resolved_at is not None else alert.last_broken


def dedup_key(alert: Alert) -> str:
    """The same for every message about one alert, from firing until resolved; another one next time."""
    identity = "\0".join((*alert.key, f"{alert.fired_at:.6f}"))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

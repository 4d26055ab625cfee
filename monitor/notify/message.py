"""A transition as it is sent: the body of Alertmanager's webhook, version 4, so its receivers take ours too.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from monitor.alerting import NO_DATA, Alert, State
from monitor.links import PROBES, panel_link
from monitor.objectives import Objectives
from monitor.quantity import format_duration
from monitor.words import description, nobody_knows

NEVER = "0001-01-01T00:00:00Z"


def webhook_body(alert: Alert, receiver: str, objectives: Objectives | None = None) -> dict[str, Any]:
    """Description and dashboard are left out unless the alert's objective is among `objectives`."""
    said = alert_body(alert, objectives)
    return {
        "version": "4",
        "groupKey": f"{alert.key.target}/{alert.key.check}/{alert.key.name}",
        "truncatedAlerts": 0,
        "status": said["status"],
        "receiver": receiver,
        "groupLabels": {"alertname": alert.key.name, "target": alert.key.target},
        "commonLabels": said["labels"],
        "commonAnnotations": said["annotations"],
        "externalURL": "",
        "alerts": [said],
    }


def alert_body(alert: Alert, objectives: Objectives | None) -> dict[str, Any]:
    """The labels are those of the alert in alerts/rules.yml: for Alertmanager they are one."""
    return {
        "status": "resolved" if alert.state is State.RESOLVED else "firing",
        "labels": {
            "alertname": alert.key.name,
            "target": alert.key.target,
            "check": alert.key.check,
            "severity": alert.severity,
        },
        "annotations": {
            "summary": summary(alert),
            "value": alert.value,
            "threshold": alert.threshold,
            "reason": alert.reason,
            "runbook": alert.runbook,
            **(_background(alert, objectives) if objectives else {}),
        },
        "startsAt": rfc3339(alert.since),
        "endsAt": rfc3339(alert.resolved_at) if alert.resolved_at else NEVER,
        "generatorURL": "",
        "fingerprint": dedup_key(alert),
    }


def webhook_json(alert: Alert, receiver: str, objectives: Objectives | None = None) -> str:
    return json.dumps(webhook_body(alert, receiver, objectives), ensure_ascii=False)


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


def summary(alert: Alert) -> str:
    """One line that stands alone on a lock screen."""
    if alert.state is State.RESOLVED:
        ended = alert.resolved_at if alert.resolved_at is not None else alert.last_broken
        lasted = format_duration(ended - alert.since)
        return f"{alert.key.target}: {alert.title}: good again after {lasted} ({alert.value})"
    return f"{alert.key.target}: {alert.title}: {alert.value} (alert when {alert.threshold})"


def dedup_key(alert: Alert) -> str:
    """The same for every message about one alert, from firing until resolved; another one next time."""
    identity = "\0".join((*alert.key, f"{alert.fired_at:.6f}"))
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

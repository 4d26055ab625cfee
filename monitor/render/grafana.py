"""alerts/grafana/*.yml: the objectives as Grafana's alerts, provisioned from files.

Grafana is the second line. Each rule asks Prometheus for `objective:judged`, waits SECOND_LINE longer than
Prometheus' own rule, and posts to the same Alertmanager, which lets it speak only when the first line is
silent (docs/adr/0011-who-pages.md). The shapes are those of Grafana's provisioning from files.
"""

from __future__ import annotations

import hashlib
from typing import Any

from monitor.expressions import duration
from monitor.links import AGENT, OVERVIEW, panel_id, panel_link
from monitor.objectives import Objective, Objectives
from monitor.quantity import Operator, Unit
from monitor.render.yaml_text import readable_yaml
from monitor.words import description

HEAD = """\
# Written by `paciolus-monitor render` from alerts/objectives.yml, the only file with thresholds: change that.
# For Grafana from 11.6 on, in /etc/grafana/provisioning/alerting. What leaves the file stays in Grafana until
# somebody deletes it there, or `deleteRules` names its uid.
"""
FOLDER = "Paciolus"
"""Becomes the label grafana_folder, by which alerts/alertmanager.yml knows these alerts."""
PROMETHEUS = "prometheus"
"""The uid of the data source."""
EXPRESSION = "__expr__"
ALERTMANAGER = "alertmanager"
OFF_HOURS = "off-hours"
SECOND_LINE = 180.0
"""Seconds that Grafana waits longer than Prometheus: two rounds of its rules, and Prometheus' next resend."""
LOOK_BACK = {"from": 600, "to": 0}
"""Seconds before now. The queries are instant ones, and ask at its end."""
LONGEST_UID = 40
EVALUATORS: dict[Operator, str] = {"above": "gt", "below": "lt", "at least": "gte", "at most": "lte"}
IN_HUMAN_UNITS: dict[Unit, str] = {
    "seconds": "humanizeDuration",
    "ratio": "humanizePercentage",
    "per_minute": 'printf "%.4g/min"',
    "number": 'printf "%.4g"',
}


def rules(objectives: Objectives) -> str:
    of_objectives = [_rule(objectives, objective) for objective in objectives]
    return HEAD + readable_yaml(
        {
            "apiVersion": 1,
            "groups": [_group("objectives", of_objectives), _group("watchers", [_prometheus_down()])],
        }
    )


def contact_points(_objectives: Objectives) -> str:
    receiver = {
        "uid": "paciolus-alertmanager",
        "type": "prometheus-alertmanager",
        "settings": {"url": "http://alertmanager:9093"},
    }
    points = [{"orgId": 1, "name": ALERTMANAGER, "receivers": [receiver]}]
    return HEAD + readable_yaml({"apiVersion": 1, "contactPoints": points})


def notification_policies(_objectives: Objectives) -> str:
    """The whole tree; Alertmanager groups and repeats, so here each alert goes alone and at once.

    It goes without an end, and Alertmanager ends it after `resolve_timeout`; repeats come well before that.
    """
    info = {
        "receiver": ALERTMANAGER,
        "object_matchers": [["severity", "=", "info"]],
        "mute_time_intervals": [OFF_HOURS],
    }
    policy = {
        "orgId": 1,
        "receiver": ALERTMANAGER,
        "group_by": ["..."],
        "group_wait": "0s",
        "group_interval": "1m",
        "repeat_interval": "1m",
        "routes": [info],
    }
    return HEAD + readable_yaml({"apiVersion": 1, "policies": [policy]})


def mute_timings(_objectives: Objectives) -> str:
    """Those of alerts/alertmanager.yml, in UTC."""
    nights = [
        {"start_time": "00:00", "end_time": "07:00"},
        {"start_time": "19:00", "end_time": "24:00"},
    ]
    off_hours = [{"weekdays": ["saturday", "sunday"]}, {"times": nights}]
    return HEAD + readable_yaml(
        {"apiVersion": 1, "muteTimes": [{"orgId": 1, "name": OFF_HOURS, "time_intervals": off_hours}]}
    )


def _group(name: str, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"orgId": 1, "name": name, "folder": FOLDER, "interval": "1m", "rules": alerts}


def _rule(objectives: Objectives, objective: Objective) -> dict[str, Any]:
    """Its title becomes the alert's name. KeepLast is UNKNOWN: it neither begins nor ends an alert, and that
    nobody knows is told by Prometheus' no-data rules."""
    evaluator = {"type": EVALUATORS[objective.breach.operator], "params": [objective.breach.value]}
    return {
        "uid": uid(objective.name),
        "title": objective.name,
        "condition": "B",
        "data": _data(expression(objective), evaluator),
        "dashboardUid": OVERVIEW,
        "panelId": panel_id(objectives, objective),
        "noDataState": "KeepLast",
        "execErrState": "KeepLast",
        "for": duration(objective.for_ + SECOND_LINE),
        "labels": {"check": objective.check, "severity": objective.severity},
        "annotations": _annotations(objective) | {"dashboard": panel_link(objectives, objective)},
    }


def expression(objective: Objective) -> str:
    """What may not alert yet, such as a burn rate of two failures, counts as 0: good, and not "no data"."""
    judged = f'objective:judged{{objective="{objective.name}"}}'
    alertable = objective.sli.promql(
        objective.window, lambda part, _: f'objective:{part}{{objective="{objective.name}"}}'
    ).alertable
    if not alertable or objective.breach.broken_by(0):
        return f"max by (target) ({judged})"
    return f"max by (target) ({judged} and on (target) {alertable} or 0 * {judged})"


def _data(query: str, evaluator: dict[str, Any]) -> list[dict[str, Any]]:
    asked = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": PROMETHEUS},
        "expr": query,
        "instant": True,
        "range": False,
        "intervalMs": 1000,
        "maxDataPoints": 43200,
    }
    held_against = {
        "refId": "B",
        "datasource": {"type": EXPRESSION, "uid": EXPRESSION},
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": evaluator}],
    }
    return [_query("A", PROMETHEUS, asked), _query("B", EXPRESSION, held_against)]


def _query(ref: str, datasource: str, model: dict[str, Any]) -> dict[str, Any]:
    return {"refId": ref, "datasourceUid": datasource, "relativeTimeRange": dict(LOOK_BACK), "model": model}


def _annotations(objective: Objective) -> dict[str, str]:
    """A query that brought nothing has no labels, and 0 as its value."""
    human = IN_HUMAN_UNITS[objective.breach.unit]
    value = (
        f"{{{{ if $values.A.Labels }}}}{{{{ $values.A.Value | {human} }}}}{{{{ else }}}}unknown{{{{ end }}}}"
    )
    target, limit = "{{ $labels.target }}", str(objective.breach)
    return {
        "summary": f"{target}: {objective.title}: {value} (alert when {limit})",
        "description": description(objective, target, value),
        "value": value,
        "threshold": limit,
        "runbook": objective.runbook,
    }


def _prometheus_down() -> dict[str, Any]:
    """What Prometheus' own rules can't say. Alertmanager believes it once the Watchdog is gone too, some
    three minutes later, and has to have it by then: without it the other rules tell what they last knew."""
    return {
        "uid": uid("prometheus-down"),
        "title": "prometheus-down",
        "condition": "B",
        "data": _data("vector(1)", {"type": "lt", "params": [1]}),
        "noDataState": "Alerting",
        "execErrState": "Alerting",
        "for": "1m",
        "labels": {"target": PROMETHEUS, "check": "scrape", "severity": "page"},
        "annotations": {
            "summary": "prometheus: Grafana gets no answer from it",
            "description": "Its rules judge nothing. The agent does, and pages by itself.",
            "runbook": "docs/runbooks/prometheus-down.md",
            "dashboard": f"d/{AGENT}",
        },
    }


def uid(name: str) -> str:
    """The same for a name forever; where the name is too long, its end is a digest of it."""
    whole = f"paciolus-{name}"
    if len(whole) <= LONGEST_UID:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{whole[: LONGEST_UID - 9]}-{digest}"


GRAFANA = {
    "alerts/grafana/rules.yml": rules,
    "alerts/grafana/contact-points.yml": contact_points,
    "alerts/grafana/notification-policies.yml": notification_policies,
    "alerts/grafana/mute-timings.yml": mute_timings,
}

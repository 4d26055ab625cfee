"""dashboards/overview.json: every objective against its threshold, as the agent judges it."""

from __future__ import annotations

import json
from typing import Any

from monitor.objectives import Objective, Objectives

UNITS = {"seconds": "s", "ratio": "percentunit", "per_minute": "none", "number": "none"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHERE = 'job=~"$job", instance=~"$instance"'
VERDICTS = (("OK", "green"), ("WARN", "orange"), ("BREACH", "red"), ("UNKNOWN", "purple"))
WIDTH, HALF, HEIGHT = 24, 12, 8


def overview(objectives: Objectives) -> str:
    panels = [_verdicts(), _firing(), *map(_panel, range(len(objectives.entries)), objectives)]
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    dashboard = {
        "uid": "paciolus-overview",
        "title": "Paciolus: overview",
        "description": "Is every objective kept, and what fires? Written from alerts/objectives.yml.",
        "tags": ["paciolus"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _label_values("job", "objective_verdict", "Job"),
        _label_values("instance", 'objective_verdict{job=~"$job"}', "Instance"),
    ]


def _label_values(label: str, metric: str, title: str) -> dict[str, Any]:
    query = f"label_values({metric}, {label})"
    return {
        "name": label,
        "label": title,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def _target(expression: str, legend: str, *, instant: bool = False) -> dict[str, Any]:
    return {
        "refId": "A",
        "datasource": DATASOURCE,
        "expr": expression,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def _verdicts() -> dict[str, Any]:
    """Numbers stand for verdicts: Grafana colours a state timeline by value."""
    scored = " or ".join(
        f'({score} * (objective_verdict{{{WHERE}, verdict="{name}"}} == 1))'
        for score, (name, _) in enumerate(VERDICTS)
    )
    return {
        "type": "state-timeline",
        "title": "Verdict of each objective",
        "description": "Red: follow the objective's runbook. Purple: unknown, see why its check is silent.",
        "datasource": DATASOURCE,
        "gridPos": {"x": 0, "y": 0, "w": 16, "h": 10},
        "targets": [_target(f"max by (target, objective) ({scored})", "{{target}} {{objective}}")],
        "fieldConfig": {"defaults": {"unit": "none", "mappings": [_mapping()]}, "overrides": []},
        "options": {"showValue": "never", "legend": {"displayMode": "list", "placement": "bottom"}},
    }


def _mapping() -> dict[str, Any]:
    return {
        "type": "value",
        "options": {
            str(score): {"text": name, "color": colour, "index": score}
            for score, (name, colour) in enumerate(VERDICTS)
        },
    }


def _firing() -> dict[str, Any]:
    return {
        "type": "stat",
        "title": "Alerts firing",
        "description": "More than 0: somebody has been told. The agent's log says what and why.",
        "datasource": DATASOURCE,
        "gridPos": {"x": 16, "y": 0, "w": 8, "h": 10},
        "targets": [
            _target(f'sum(alert_state{{{WHERE}, state="firing"}}) or vector(0)', "firing", instant=True)
        ],
        "fieldConfig": {
            "defaults": {"unit": "none", "min": 0, "thresholds": _steps(("green", None), ("red", 1))},
            "overrides": [],
        },
        "options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}},
    }


def _panel(index: int, objective: Objective) -> dict[str, Any]:
    where = f'{WHERE}, objective="{objective.name}"'
    defaults: dict[str, Any] = {
        "unit": UNITS[objective.breach.unit],
        "min": 0,
        "thresholds": _limit(objective),
        "custom": {"thresholdsStyle": {"mode": "line"}, "spanNulls": False},
    }
    if objective.breach.unit == "ratio":
        defaults["max"] = 1
    return {
        "type": "timeseries",
        "title": objective.title,
        "description": f"Broken {objective.breach} ({objective.document}). When red: {objective.runbook}",
        "datasource": DATASOURCE,
        "gridPos": {"x": index % 2 * HALF, "y": 10 + index // 2 * HEIGHT, "w": HALF, "h": HEIGHT},
        "targets": [_target(f"objective_value{{{where}}}", "{{target}}")],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max", "lastNotNull"]}
        },
    }


def _limit(objective: Objective) -> dict[str, Any]:
    below, above = ("green", "red") if objective.breach.high_is_bad else ("red", "green")
    return _steps((below, None), (above, objective.breach.value))


def _steps(*steps: tuple[str, float | None]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for colour, value in steps]}

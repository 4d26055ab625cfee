"""dashboards/overview.json: every objective against its threshold, as the agent judges it."""

from __future__ import annotations

import json
from typing import Any

from monitor.objectives import Objective, Objectives
from monitor.quantity import Unit, format_duration

UNITS: dict[Unit, str] = {
    "seconds": "s",
    "ratio": "percentunit",
    "per_minute": "suffix:/min",
    "number": "none",
}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHERE = 'job=~"$job", instance=~"$instance"'
# The worst last: where two agents watch one target, the worse verdict is shown.
VERDICTS = (("OK", "green"), ("UNKNOWN", "purple"), ("WARN", "orange"), ("BREACH", "red"))
TAG = "paciolus"
TOP, THIRD, HEIGHT = 10, 8, 7
HEADROOM = 1.25
"""How far the axis reaches above the limit while the values stay below it."""


def overview(objectives: Objectives) -> str:
    panels = [_verdicts(), _firing(), _which(), *map(_panel, range(len(objectives)), objectives)]
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    dashboard = {
        "uid": "paciolus-overview",
        "title": "Paciolus: overview",
        "description": "Is every objective kept, and what fires? Written from alerts/objectives.yml.",
        "tags": [TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [_link()],
        "panels": panels,
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def _link() -> dict[str, Any]:
    """To the other dashboards of the family, keeping time range and variables."""
    return {"type": "dashboards", "title": "Paciolus", "tags": [TAG], "keepTime": True, "includeVars": True}


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
        "title": "Verdict of each objective (gap: the agent is silent)",
        "description": "Red: follow its runbook. Purple: nobody knows, see why its check brings nothing.",
        "datasource": DATASOURCE,
        "gridPos": {"x": 0, "y": 0, "w": 2 * THIRD, "h": TOP},
        "targets": [_target(f"max by (target, objective) ({scored})", "{{target}} {{objective}}")],
        "fieldConfig": {"defaults": {"unit": "none", "min": 0, "mappings": [_mapping()]}, "overrides": []},
        "options": {"showValue": "never", "legend": _legend("list")},
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
    """Without an agent it is empty: 0 would be a promise that nobody keeps."""
    firing = f'sum(alert_state{{{WHERE}, state="firing"}}) or 0 * sum(objective_verdict{{{WHERE}}})'
    panel = _stat("Alerts firing", firing, "firing", no_value="no agent", height=4)
    panel["description"] = "More than 0: somebody has been told. No number: no agent was seen."
    panel["fieldConfig"]["defaults"]["thresholds"] = _steps(("purple", None), ("green", 0), ("red", 1))
    return panel


def _which() -> dict[str, Any]:
    firing = f'max by (target, alert) (alert_state{{{WHERE}, state="firing"}} == 1)'
    panel = _stat("Firing now", firing, "{{target}} {{alert}}", no_value="none seen", height=TOP - 4, top=4)
    panel["description"] = (
        "Each has a runbook of its name; the notification says value, threshold and reason."
    )
    panel["fieldConfig"]["defaults"]["thresholds"] = _steps(("text", None), ("red", 1))
    panel["options"]["textMode"] = "name"
    return panel


def _stat(
    title: str, expression: str, legend: str, *, no_value: str, height: int, top: int = 0
) -> dict[str, Any]:
    return {
        "type": "stat",
        "title": title,
        "datasource": DATASOURCE,
        "gridPos": {"x": 2 * THIRD, "y": top, "w": THIRD, "h": height},
        "targets": [_target(expression, legend, instant=True)],
        "fieldConfig": {"defaults": {"unit": "none", "min": 0, "noValue": no_value}, "overrides": []},
        "options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}},
    }


def _panel(index: int, objective: Objective) -> dict[str, Any]:
    row, column = divmod(index, 3)
    drawn = _line(objective) if objective.breach.high_is_bad else _number(objective)
    return drawn | {
        "title": f"{objective.title}, alert when {objective.breach}",
        "description": _description(objective),
        "datasource": DATASOURCE,
        "gridPos": {"x": column * THIRD, "y": TOP + row * HEIGHT, "w": THIRD, "h": HEIGHT},
    }


def _line(objective: Objective) -> dict[str, Any]:
    """The threshold is always in sight, however far below it the values are."""
    scale = _scale(objective)
    reach = {} if "max" in scale else {"axisSoftMax": HEADROOM * objective.breach.value}
    look = {
        "thresholds": _limits(objective),
        "color": {"mode": "shades", "fixedColor": "blue"},
        "custom": {"lineWidth": 2, "thresholdsStyle": {"mode": "line"}, "spanNulls": False, **reach},
    }
    return {
        "type": "timeseries",
        "targets": [_target(_known_value(objective), "{{target}}")],
        "fieldConfig": {"defaults": scale | look, "overrides": []},
        "options": {"legend": _legend("table", "mean", "max", "lastNotNull")},
    }


def _number(objective: Objective) -> dict[str, Any]:
    """99.9 % and 99.8 % are the same line on an axis from 0 to 1, and the same "100%" in a legend."""
    look = {"decimals": 3, "thresholds": _limits(objective)}
    return {
        "type": "stat",
        "targets": [_target(_known_value(objective), "{{target}}", instant=True)],
        "fieldConfig": {"defaults": _scale(objective) | look, "overrides": []},
        "options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}},
    }


def _description(objective: Objective) -> str:
    return (
        f"Alerts when {objective.breach} for {format_duration(objective.for_)}, measured over "
        f"{format_duration(objective.window)} ({objective.document}). No line: UNKNOWN. "
        f"Runbook: {objective.runbook}"
    )


def _known_value(objective: Objective) -> str:
    """Nothing while UNKNOWN: one of three requests is 33 % and says nothing."""
    where = f'{WHERE}, objective="{objective.name}"'
    unknown = f'objective_verdict{{{where}, verdict="UNKNOWN"}} == 1'
    return f"objective_value{{{where}}} unless ignoring (verdict) ({unknown})"


def _scale(objective: Objective) -> dict[str, Any]:
    unit = objective.breach.unit
    highest = {"max": 1} if unit == "ratio" else {}
    return {"unit": UNITS[unit], "min": 0, **highest, "noValue": "UNKNOWN: no data, or too little to judge"}


def _limits(objective: Objective) -> dict[str, Any]:
    limit, warn = objective.breach.value, objective.warn
    if objective.breach.high_is_bad:
        return _steps(("green", None), *([("orange", warn.value)] if warn else []), ("red", limit))
    # The first step is also the colour of "no value".
    warned = [("orange", limit), ("green", warn.value)] if warn else [("green", limit)]
    return _steps(("purple", None), ("red", 0), *warned)


def _steps(*steps: tuple[str, float | None]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for colour, value in steps]}


def _legend(mode: str, *calculations: str) -> dict[str, Any]:
    return {"showLegend": True, "displayMode": mode, "placement": "bottom", "calcs": list(calculations)}

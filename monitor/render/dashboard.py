"""What all dashboards share: frame, variables, links from one to the other, deploy markers, layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from monitor.links import FIRST_PANEL
from monitor.render.panels import DATASOURCE, Json

TAG = "paciolus"
COLUMNS = 24
FAMILY = {
    "overview": "Is every objective kept, and what fires?",
    "api": "Is the API fast and right, and if not, on which route?",
    "database": "Does the connection pool run out, and who waits for it?",
    "security": "Is somebody at the door, and are secrets and certificates fresh?",
    "probes": "Is it up as seen from outside, and why not?",
    "agent": "Can the agent's word be trusted?",
}
"""Each dashboard and the one question that it answers."""

TARGET = 'target=~"$target"'
OF_INSTANCE = 'job=~"$job", instance=~"$instance"'
OF_TARGET = f"{OF_INSTANCE}, {TARGET}"
"""What a selector carries: these for what is scraped, TARGET alone for what rules have recorded without job
and instance, and OF_INSTANCE for what the agent says of itself."""

DEPLOYED = (
    f"group by (target, version) (app_build_info{{{OF_INSTANCE}}})"
    f" unless group by (target, version) (app_build_info{{{OF_INSTANCE}}} offset 2m)"
    " and on (target) count by (target)"
    f" (group by (target, version) (last_over_time(app_build_info{{{OF_INSTANCE}}}[1h]))) > 1"
)
"""A version that was not there two minutes ago, of a target that ran another one within the hour: a release
or a rollback, and neither a restart nor Prometheus' own first look."""

VERDICT = f"gate_verdict{{{OF_INSTANCE}}}"
GATED = (
    "group by (target, profile, verdict) (("
    f'label_replace({VERDICT} == 1, "verdict", "passed", "", "")'
    f' or label_replace({VERDICT} == 0, "verdict", "failed", "", "")'
    f' or label_replace({VERDICT} != {VERDICT}, "verdict", "unknown", "", "")'
    ") and on (job, instance, target, profile)"
    f" (gate_last_run_timestamp_seconds{{{OF_INSTANCE}}} > time() - 120))"
)
"""For two minutes after a run of the release gate. Always 1: Grafana draws nothing that is 0 or NaN, and a
failed gate is what one looks for."""


class Band(NamedTuple):
    """Panels side by side: each with its width, of COLUMNS."""

    height: int
    panels: tuple[tuple[int, Json], ...]


def band(height: int, *panels: Json, widths: tuple[int, ...] = ()) -> Band:
    """Equally wide unless `widths` says otherwise."""
    shares = widths or (COLUMNS // len(panels),) * len(panels)
    return Band(height, tuple(zip(shares, panels, strict=True)))


def heading(title: str) -> Band:
    return Band(1, ((COLUMNS, {"type": "row", "title": title, "collapsed": False, "panels": []}),))


def dashboard(name: str, variables: list[Json], *bands: Band) -> str:
    content = {
        "uid": f"{TAG}-{name}",
        "title": f"Paciolus: {name}",
        "description": FAMILY[name],
        "tags": [TAG],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": [_deploys(), _gates()]},
        "links": [_link(other) for other in FAMILY if other != name],
        "panels": list(_laid_out(bands)),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def target_variables(metric: str) -> list[Json]:
    """Target, job and instance, as far as they have `metric`.

    "All" targets includes series without that label: people scrape their own with labels of their own.
    """
    return [
        label_values("target", "Target", metric, everything=".*"),
        label_values("job", "Job", f"{metric}{{{TARGET}}}"),
        label_values("instance", "Instance", f'{metric}{{{TARGET}, job=~"$job"}}'),
    ]


def instance_variables(metric: str) -> list[Json]:
    return [
        label_values("job", "Job", metric),
        label_values("instance", "Instance", f'{metric}{{job=~"$job"}}'),
    ]


def label_values(label: str, title: str, selector: str, everything: str = ".+") -> Json:
    query = f"label_values({selector}, {label})"
    on_time_range, alphabetically = 2, 1
    return {
        "name": label,
        "label": title,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": on_time_range,
        "multi": True,
        "includeAll": True,
        "allValue": everything,
        "current": {"text": "All", "value": "$__all"},
        "sort": alphabetically,
    }


def _datasource() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _deploys() -> Json:
    return {
        "name": "Deploys",
        "datasource": DATASOURCE,
        "enable": True,
        "expr": DEPLOYED,
        "step": "30s",
        "iconColor": "blue",
        "titleFormat": "{{target}}: version {{version}}",
    }


def _gates() -> Json:
    return {
        "name": "Release gate",
        "datasource": DATASOURCE,
        "enable": True,
        "expr": GATED,
        "step": "30s",
        "iconColor": "purple",
        "titleFormat": "{{target}}: gate {{profile}} {{verdict}}",
        "useValueForTime": False,
    }


def _link(other: str) -> Json:
    """Keeps time range, data source and target. Not job and instance: the others are about other jobs."""
    kept = "${datasource:queryparam}&${target:queryparam}"
    return {
        "type": "link",
        "title": other.capitalize() if other != "api" else "API",
        "tooltip": FAMILY[other],
        "url": f"/d/{TAG}-{other}?{kept}",
        "keepTime": True,
        "includeVars": False,
        "targetBlank": False,
        "tags": [TAG],
    }


def _laid_out(bands: tuple[Band, ...]) -> Iterator[Json]:
    """From the top; who has no number yet is counted from 1, below those of objectives."""
    y, numbers = 0, iter(range(1, FIRST_PANEL))
    for each in bands:
        x = 0
        for width, panel in each.panels:
            place: dict[str, Any] = {"x": x, "y": y, "w": width, "h": each.height}
            yield {"id": panel["id"] if "id" in panel else next(numbers), **panel, "gridPos": place}
            x += width
        y += each.height

"""Panels in Grafana's classic JSON: what they ask, in which unit, against which lines, with which legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from monitor.quantity import Unit

Json = dict[str, Any]
Placement = Literal["bottom", "right"]
"""Of a legend: on the right where a panel is wide and its series are more than two."""

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
UNITS: dict[Unit, str] = {
    "seconds": "s",
    "ratio": "percentunit",
    "per_minute": "suffix:/min",
    "number": "none",
}
UNKNOWN_COLOUR = "purple"
NEUTRAL = "blue"
"""Of what is bad when there is much of it: the palette begins with green."""
LAST = ["lastNotNull"]


class Query(NamedTuple):
    """`legend` may be empty where one series is all that can come; labels are written {{so}}."""

    expression: str
    legend: str = ""


class Step(NamedTuple):
    """From `value` on the colour holds; None is the lowest step, and the colour of "no value" in a stat."""

    colour: str
    value: float | None


EVENTS = (Step(UNKNOWN_COLOUR, None), Step("green", 0), Step("red", 1))
"""For counts of what should never happen: the first one is red."""
PLAIN = (Step("text", None),)
"""No documented limit, no colour."""


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    limits: Sequence[Step] = PLAIN,
    no_value: str = "no data",
    legend: Placement = "bottom",
    shade: str = "",
    **custom: Any,
) -> Json:
    """`custom` are the drawing's own settings, such as stacking or an axis' soft maximum.

    With a `shade` all series have shades of it, lest one looks good or bad by its place in the palette.
    """
    look = {"lineWidth": 2, "spanNulls": False, "showPoints": "auto", "pointSize": 4}
    colours = {"mode": "shades", "fixedColor": shade} if shade else {"mode": "palette-classic"}
    style = {"thresholdsStyle": {"mode": "line" if len(limits) > 1 else "off"}}
    return _panel("timeseries", title, description, unit, _targets(queries), limits) | {
        "options": {"legend": _table_legend(legend), "tooltip": {"mode": "multi", "sort": "desc"}},
        "fieldConfig": _fields(unit, limits, noValue=no_value, color=colours, custom=look | style | custom),
    }


def stacked(title: str, description: str, unit: str, *queries: Query, **more: Any) -> Json:
    area: Json = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 70, "lineWidth": 0}
    return lines(title, description, unit, *queries, **area | more)


def stat(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    limits: Sequence[Step] = PLAIN,
    no_value: str = "no data",
    **defaults: Any,
) -> Json:
    """The present value, large; `no_value` is what is read where there is none."""
    coloured = len(limits) > 1 or "color" in defaults or "mappings" in defaults
    options = {
        "colorMode": "background" if coloured else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "reduceOptions": {"calcs": LAST},
    }
    return _panel("stat", title, description, unit, _targets(queries, instant=True), limits) | {
        "options": options,
        "fieldConfig": _fields(unit, limits, noValue=no_value, **defaults),
    }


def states(title: str, description: str, *queries: Query, mapping: Json) -> Json:
    """A row of coloured bands for each series: the values are what `mapping` gives texts and colours to."""
    return _panel("state-timeline", title, description, "none", _targets(queries), PLAIN) | {
        "options": {"showValue": "never", "mergeValues": True, "rowHeight": 0.8, "legend": _list_legend()},
        "fieldConfig": _fields("none", PLAIN, mappings=[mapping], custom={"fillOpacity": 80, "lineWidth": 0}),
    }


def table(
    title: str,
    description: str,
    columns: dict[str, str],
    *queries: Query,
    sorted_by: str,
    overrides: Sequence[Json] = (),
    no_value: str = "no data",
) -> Json:
    """`columns`: labels and `Value #REF` in their order, each with its heading; nothing else is shown."""
    return _panel(
        "table", title, description, "none", _targets(queries, instant=True, shape="table"), PLAIN
    ) | {
        "options": {
            "showHeader": True,
            "cellHeight": "sm",
            "sortBy": [{"displayName": sorted_by, "desc": True}],
        },
        "fieldConfig": _fields("none", PLAIN, noValue=no_value) | {"overrides": list(overrides)},
        "transformations": [{"id": "merge", "options": {}}, *_only(columns)],
    }


def value_column(reference: int) -> str:
    """The name of a query's value, as Grafana gives it to a table of several queries."""
    return f"Value #{_reference(reference)}"


def override(name: str, **properties: Any) -> Json:
    """For the series or column of this name; dots in property names are written as __."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def coloured(panel: Json, **colours: str) -> Json:
    """Fixed colours for series whose names mean something."""
    fixed = [override(name, color=fixed_colour(colour)) for name, colour in colours.items()]
    panel["fieldConfig"]["overrides"] += fixed
    return panel


def fixed_colour(colour: str) -> Json:
    return {"mode": "fixed", "fixedColor": colour}


def mapping(*states: tuple[float, str, str]) -> Json:
    """Value, text, colour."""
    options = {
        f"{value:g}": {"text": text, "color": colour, "index": index}
        for index, (value, text, colour) in enumerate(states)
    }
    return {"type": "value", "options": options}


def _panel(
    kind: str, title: str, description: str, unit: str, targets: list[Json], limits: Sequence[Step]
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": _fields(unit, limits),
        "options": {},
    }


def _targets(queries: Sequence[Query], *, instant: bool = False, shape: str = "time_series") -> list[Json]:
    return [
        {
            "refId": _reference(index),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "format": shape,
            "instant": instant,
            "range": not instant,
        }
        for index, query in enumerate(queries)
    ]


def _reference(index: int) -> str:
    return f"Q{index + 1}"


def _fields(unit: str, limits: Sequence[Step], **defaults: Any) -> Json:
    """A ratio ends at 1, unless its axis has a soft end because it may pass 1."""
    open_ended = "axisSoftMax" in defaults.get("custom", {})
    highest = {"max": 1} if unit == "percentunit" and not open_ended else {}
    steps = [{"color": step.colour, "value": step.value} for step in limits]
    thresholds = {"mode": "absolute", "steps": steps}
    return {
        "defaults": {"unit": unit, "min": 0, **highest, "thresholds": thresholds, **defaults},
        "overrides": [],
    }


def _table_legend(placement: Placement) -> Json:
    calculations = ["mean", "max", *LAST]
    order = {"sortBy": "Max", "sortDesc": True}
    return {
        "showLegend": True,
        "displayMode": "table",
        "placement": placement,
        "calcs": calculations,
        **order,
    }


def _list_legend() -> Json:
    return {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}


def _only(columns: dict[str, str]) -> list[Json]:
    order = {name: index for index, name in enumerate(columns)}
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {"indexByName": order, "renameByName": columns}},
    ]

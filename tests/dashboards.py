"""The dashboards as tests read them: their panels, their queries, and what a query selects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser

HOUSE = Path(__file__).parent.parent
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((HOUSE / "dashboards").glob("*.json"))
}
RATE_INTERVAL, SHOWN = "41s", "43m"
"""Stand for $__rate_interval and $__range: PromQL wants durations there, and nobody else writes these."""


class Asked(NamedTuple):
    """One query of one panel."""

    dashboard: str
    panel: str
    expression: str

    @property
    def id(self) -> str:
        return f"{self.dashboard}-{self.panel.partition(',')[0]}"


class Selected(NamedTuple):
    """A selector, and the function that it stands in; `window` is None for an instant."""

    name: str
    matchers: dict[str, str]
    window: timedelta | None
    function: str


def drawn(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something: no headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def asked(dashboard: dict[str, Any]) -> list[Asked]:
    name = dashboard["uid"].removeprefix("paciolus-")
    return [
        Asked(name, panel["title"], target["expr"])
        for panel in drawn(dashboard)
        for target in panel["targets"]
    ]


def filled_in(query: str, rate_interval: str = RATE_INTERVAL, shown: str = SHOWN) -> str:
    """As Grafana sends it with "All" chosen everywhere."""
    for name, chosen in (("__rate_interval", rate_interval), ("__range", shown), ("target", ".*")):
        query = re.sub(rf"\${name}\b", chosen, query)
    return re.sub(r"\$(job|instance|route|check)\b", ".+", query)


def selected(query: str) -> list[Selected]:
    """Every selector of a query. ValueError when it is no PromQL."""
    found: list[Selected] = []
    path: list[promql_parser.Expr] = []

    def enter(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(_selected(node, path))
        path.append(node)
        return True

    def leave(_: promql_parser.Expr) -> bool:
        path.pop()
        return True

    promql_parser.walk(promql_parser.parse(filled_in(query)), enter, leave)
    return found


def _selected(node: promql_parser.VectorSelector, path: list[promql_parser.Expr]) -> Selected:
    matchers = {f"{each.name}{_operator(each)}": each.value for each in node.matchers.matchers}
    inside = path[-1] if path and isinstance(path[-1], promql_parser.MatrixSelector) else None
    around = path[:-1] if inside else path
    caller = around[-1] if around else None
    function = caller.func.name if isinstance(caller, promql_parser.Call) else ""
    return Selected(node.name or "", matchers, inside.range if inside else None, function)


def _operator(matcher: promql_parser.Matcher) -> str:
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[str(matcher.op).rpartition(".")[2]]


def variables(dashboard: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name of a variable, the selector that it asks, and the label whose values it offers."""
    for each in dashboard["templating"]["list"]:
        if each["type"] == "query":
            query = re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]["query"])
            assert query, each["query"]
            yield each["name"], query[1], query[2]

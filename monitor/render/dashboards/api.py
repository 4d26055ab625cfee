"""Is the API fast and right, and if not, on which route?"""

from __future__ import annotations

from monitor.objectives import Objectives
from monitor.render import judged
from monitor.render.dashboard import OF_TARGET, Band, band, dashboard, heading, label_values, target_variables
from monitor.render.panels import (
    NEUTRAL,
    Json,
    Query,
    coloured,
    lines,
    override,
    stacked,
    stat,
    table,
    value_column,
)
from monitor.render.quantiles import quantile, quantile_lines

DURATION = "http_request_duration_seconds"
WORK = f'{OF_TARGET}, route!~"/health.*|/metrics", route=~"$route"'
"""Probes are no users: they are left out, as the objectives leave them out."""
COUNT = f"{DURATION}_count{{{WORK}}}"
FAILED = f'{DURATION}_count{{{WORK}, status=~"5.."}}'
ROUTE = ("method", "route")
CLASSES = {"2xx": "green", "3xx": "blue", "4xx": "yellow", "5xx": "red"}


def api(objectives: Objectives) -> str:
    variables = target_variables("http_requests_in_progress")
    route = label_values("route", "Route", f"{DURATION}_count{{{OF_TARGET}}}")
    return dashboard(
        "api",
        [*variables, route],
        _now(objectives),
        band(10, _response_time(objectives), _answers()),
        band(9, _routes(), _slow_routes(), widths=(14, 10)),
        band(8, _errors_by_route(), _requests_by_route(), _in_flight(objectives)),
        heading("Instance by instance: one that differs from the others is ill, or has another version"),
        band(8, *_per_instance()),
    )


def _now(objectives: Objectives) -> Band:
    """What the alerts see, so that red here is what pages."""
    watched = ("latency-p95", "error-rate", "scale-out-queue")
    figures = [
        judged.figure(objectives, objective)
        for name in watched
        if (objective := judged.named(objectives, name))
    ]
    return band(4, *figures, _rate(), widths=(24 // (len(figures) + 1),) * (len(figures) + 1))


def _rate() -> Json:
    return stat(
        "Requests a second",
        "Without health and metrics. None at all while users should be there: look at the Probes dashboard, "
        "then at what stands before the API.",
        "reqps",
        Query(f"sum by (target) (rate({COUNT}[$__rate_interval]))", "{{target}}"),
    )


def _response_time(objectives: Objectives) -> Json:
    return quantile_lines(
        "Response time",
        "Of the routes chosen above. The lines are those of the objectives about p95, which look at their "
        "own windows. p95 above red: docs/runbooks/latency-p95.md. p50 up as well: everything is slow, so "
        "CPU, pool or database; p99 alone: single slow requests, see the routes.",
        DURATION,
        WORK,
        limits=judged.limits_of(objectives, "latency-p95"),
    )


def _answers() -> Json:
    classes = [
        Query(f'sum(rate({DURATION}_count{{{WORK}, status=~"{name[0]}.."}}[$__rate_interval]))', name)
        for name in CLASSES
    ]
    panel = stacked(
        "Requests a second, by answer",
        "5xx is our fault: docs/runbooks/error-rate.md. A wall of 4xx is a client's or an attack: see "
        "Security. 499: the client left before the answer, usually because it was slow.",
        "reqps",
        *classes,
    )
    return coloured(panel, **CLASSES)


def _routes() -> Json:
    def total(selector: str) -> str:
        return f"sum by ({', '.join(ROUTE)}) (increase({selector}[$__range]))"

    return table(
        "Routes, the slowest first, over the time shown",
        "Slow and often asked is what users feel: begin there. Slow and rare is what one request in a "
        "hundred meets.",
        {
            "method": "Method",
            "route": "Route",
            value_column(0): "p95",
            value_column(1): "p50",
            value_column(2): "Requests",
            value_column(3): "5xx",
        },
        Query(quantile(0.95, DURATION, WORK, ROUTE, "increase")),
        Query(quantile(0.5, DURATION, WORK, ROUTE, "increase")),
        Query(f"{total(COUNT)} > 0"),
        Query(f"{total(FAILED)} / ({total(COUNT)} > 0)"),
        sorted_by="p95",
        overrides=[
            override("p95", unit="s"),
            override("p50", unit="s"),
            override("Requests", unit="short", decimals=0),
            override("5xx", unit="percentunit", max=1),
            override("Method", custom__width=80),
            override("Route", custom__minWidth=220),
        ],
    )


def _slow_routes() -> Json:
    return lines(
        "p95 by route",
        "Which route began to be slow, and when: compare with the deploy markers. A point for each moment "
        "with requests: between two of them nobody knows.",
        "s",
        Query(quantile(0.95, DURATION, WORK, ROUTE), "{{method}} {{route}}"),
        drawStyle="points",
    )


def _errors_by_route() -> Json:
    failed = _where_any(FAILED, f"60 * sum by (method, route) (rate({FAILED}[$__rate_interval]))")
    return lines(
        "Server errors a minute, by route",
        "One route: that feature, look at its last release and its log lines. All routes: database or "
        "process.",
        "suffix:/min",
        Query(failed, "{{method}} {{route}}"),
        no_value="No 5xx on these routes, as far as they are measured",
        shade=NEUTRAL,
    )


def _where_any(counter: str, expression: str) -> str:
    """For routes that had any lately, so that their lines go back to 0, and the others are left out."""
    return f"{expression} and sum by (method, route) (increase({counter}[$__range])) > 0"


def _requests_by_route() -> Json:
    asked = _where_any(COUNT, f"sum by (method, route) (rate({COUNT}[$__rate_interval]))")
    return lines(
        "Requests a second, by route",
        "What the load is made of. A jump on one route is one client more often than many.",
        "reqps",
        Query(asked, "{{method}} {{route}}"),
    )


def _in_flight(objectives: Objectives) -> Json:
    return lines(
        "Requests in flight",
        "Begun and not answered yet. Climbing while the rate stays: requests queue, for the pool or for "
        "CPU. Beyond the documented queue: docs/runbooks/scale-out.md.",
        "none",
        Query(f"sum by (instance) (http_requests_in_progress{{{OF_TARGET}}})", "{{instance}}"),
        limits=judged.limits_of(objectives, "scale-out-queue"),
    )


def _per_instance() -> tuple[Json, Json, Json]:
    return (
        lines(
            "Requests a second, by instance",
            "Uneven: a load balancer that has taken one out, or one that does not answer.",
            "reqps",
            Query(f"sum by (instance) (rate({COUNT}[$__rate_interval]))", "{{instance}}"),
        ),
        lines(
            "p95, by instance",
            "One slow instance: restart it. All of them: what they share, which is the database.",
            "s",
            Query(quantile(0.95, DURATION, WORK, ("instance",)), "{{instance}}"),
        ),
        lines(
            "5xx share, by instance",
            "One instance only: take it out of rotation, then read its log.",
            "percentunit",
            Query(
                f"sum by (instance) (rate({FAILED}[$__rate_interval]))"
                f" / (sum by (instance) (rate({COUNT}[$__rate_interval])) > 0)",
                "{{instance}}",
            ),
            shade=NEUTRAL,
        ),
    )

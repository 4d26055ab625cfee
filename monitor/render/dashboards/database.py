"""Does the connection pool run out, and who waits for it?"""

from __future__ import annotations

from monitor.expressions import number
from monitor.objectives import Objectives
from monitor.render import judged
from monitor.render.dashboard import OF_TARGET, Band, band, dashboard, heading, target_variables
from monitor.render.panels import EVENTS, NEUTRAL, Json, Query, coloured, lines, override, stat
from monitor.render.quantiles import quantile_lines

IN_USE = f"db_pool_checked_out{{{OF_TARGET}}}"
SIZE = f"db_pool_size{{{OF_TARGET}}}"
OVERFLOW = f"db_pool_overflow_limit{{{OF_TARGET}}}"
WAITERS = f"db_pool_waiters{{{OF_TARGET}}}"
TIMEOUTS = f"db_pool_timeouts_total{{{OF_TARGET}}}"
WAIT = "db_pool_checkout_wait_seconds"


def database(objectives: Objectives) -> str:
    return dashboard(
        "database",
        target_variables("db_pool_size"),
        _now(objectives),
        band(9, _connections(objectives), _waiting()),
        band(9, _checkout_wait(), _timeouts(), _checkouts()),
        heading("Instance by instance"),
        band(8, *_per_instance()),
    )


def _now(objectives: Objectives) -> Band:
    usage = judged.named(objectives, "pool-usage")
    figures = [judged.figure(objectives, usage)] if usage else []
    panels = [*figures, _waiters_now(), _timeouts_so_far(), _reach()]
    return band(4, *panels, widths=(24 // len(panels),) * len(panels))


def _waiters_now() -> Json:
    return stat(
        "Waiting now",
        "Requests that stand in line because size and overflow are all in use. Above 0: users wait. See who "
        "holds the connections: docs/runbooks/pool-usage.md.",
        "none",
        Query(f"sum({WAITERS})", "waiting"),
        limits=EVENTS,
    )


def _timeouts_so_far() -> Json:
    return stat(
        "Timeouts, over the time shown",
        "Requests that gave up waiting: each was an error for a user. docs/runbooks/pool-usage.md.",
        "none",
        Query(f"sum(increase({TIMEOUTS}[$__range]))", "timeouts"),
        limits=EVENTS,
        decimals=0,
    )


def _reach() -> Json:
    return stat(
        "Connections it may open",
        "Size and overflow of all workers. It has to stay below PostgreSQL's max_connections, with room for "
        "migrations and people: SHOW max_connections tells.",
        "none",
        Query(f"sum({SIZE}) + sum({OVERFLOW})", "connections"),
    )


def _connections(objectives: Objectives) -> Json:
    """The documented share of the size, drawn in connections."""
    usage = judged.named(objectives, "pool-usage")
    alert = [Query(f"{number(usage.breach.value)} * sum({SIZE})", "alert")] if usage else []
    panel = lines(
        "Connections: in use, against the pool",
        "Above alert for long: docs/runbooks/pool-usage.md. Beyond size: overflow, opened anew for each "
        "use, so slower. At size and overflow: everybody else waits.",
        "none",
        Query(f"sum({IN_USE})", "in use"),
        Query(f"sum({SIZE})", "size"),
        Query(f"sum({SIZE}) + sum({OVERFLOW})", "size and overflow"),
        *alert,
        legend="right",
    )
    dashed = {"fill": "dash", "dash": [8, 8]}
    panel["fieldConfig"]["overrides"] = [
        override(name, custom__lineStyle=dashed, custom__lineWidth=1)
        for name in ("size", "size and overflow", "alert")
    ]
    colours = {"in use": "blue", "size": "text", "size and overflow": "purple", "alert": "red"}
    return coloured(panel, **colours)


def _waiting() -> Json:
    return lines(
        "Callers waiting for a connection",
        "0 is normal. Above it: the pool is exhausted, and response times grow by what they wait.",
        "none",
        Query(f"sum by (instance) ({WAITERS})", "{{instance}}"),
        shade=NEUTRAL,
        axisSoftMax=1,
    )


def _checkout_wait() -> Json:
    return quantile_lines(
        "How long a connection takes to get",
        "Milliseconds are normal: opening and pinging are part of it. Near pool_timeout: requests are about "
        "to fail. p99 alone: bursts; p50 too: the pool is too small or held too long.",
        WAIT,
        OF_TARGET,
    )


def _timeouts() -> Json:
    return lines(
        "Timeouts a minute",
        "Each is a request that failed. docs/runbooks/pool-usage.md, and docs/runbooks/error-rate.md for "
        "what users see.",
        "suffix:/min",
        Query(f"60 * sum by (instance) (rate({TIMEOUTS}[$__rate_interval]))", "{{instance}}"),
        shade=NEUTRAL,
        axisSoftMax=1,
    )


def _checkouts() -> Json:
    return lines(
        "Connections taken a second",
        "The demand. In use without it growing: somebody keeps connections, a leak or a slow statement.",
        "ops",
        Query(f"sum by (instance) (rate({WAIT}_count{{{OF_TARGET}}}[$__rate_interval]))", "{{instance}}"),
    )


def _per_instance() -> tuple[Json, Json]:
    return (
        lines(
            "In use / size, by instance",
            "May pass 100 %: overflow comes on top. One instance alone: a request there keeps its "
            "connections; restart it.",
            "percentunit",
            Query(f"sum by (instance) ({IN_USE}) / sum by (instance) ({SIZE})", "{{instance}}"),
            shade=NEUTRAL,
            axisSoftMax=1,
        ),
        lines(
            "In use, by instance",
            "In absolute numbers, to be compared with pg_stat_activity, which shows the same from the other "
            "side.",
            "none",
            Query(f"sum by (instance) ({IN_USE})", "{{instance}}"),
        ),
    )

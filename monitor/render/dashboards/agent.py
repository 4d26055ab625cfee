"""Can the agent's word be trusted?"""

from __future__ import annotations

from monitor.judge import STALE_AFTER_INTERVALS
from monitor.objectives import Objectives
from monitor.render.dashboard import OF_INSTANCE, Band, band, dashboard, instance_variables
from monitor.render.panels import (
    EVENTS,
    NEUTRAL,
    UNKNOWN_COLOUR,
    Json,
    Query,
    Step,
    coloured,
    lines,
    mapping,
    stat,
)
from monitor.render.quantiles import quantile_lines
from monitor.render.rules import SHIPPED

STALE = STALE_AFTER_INTERVALS * SHIPPED.probe
AGE = f"time() - monitor_last_success_timestamp_seconds{{{OF_INSTANCE}}}"
GIVEN_UP = f'monitor_notifications_total{{{OF_INSTANCE}, outcome="given_up"}}'
ITS_OWN = f"and on (job, instance) monitor_series{{{OF_INSTANCE}}}"
"""The watched API has metrics of the same names about its own processes."""
OUTCOMES = {"delivered": "green", "retried": "orange", "given_up": "red"}
BEATS = {"sent": "green", "failed": "orange", "withheld": "red"}


def agent(_objectives: Objectives) -> str:
    return dashboard(
        "agent",
        instance_variables("monitor_last_success_timestamp_seconds"),
        band(4, _age(), _beat(), _configuration()),
        _never(),
        band(9, _lateness(), _cycle_time(), _missed()),
        band(8, _outbox(), _notifications(), _beats(), _store()),
        band(8, _memory(), _cpu(), _series()),
    )


def _never() -> Band:
    """What should not happen at all."""
    counts = (
        _count(
            "Cycles that failed",
            "monitor_cycle_errors_total",
            "Our own fault; the agent's log has the traceback.",
        ),
        _count(
            "Cycles missed",
            "monitor_missed_runs_total",
            "Too many targets, a hung one, or no CPU: see lateness.",
            worst="orange",
        ),
        _count("Messages given up", "", "docs/runbooks/notifications-failing.md.", GIVEN_UP),
        _count(
            "Cycles never stored",
            "monitor_store_dropped_total",
            "The database was away too long: history has a hole.",
        ),
    )
    return band(4, *counts)


def _age() -> Json:
    return stat(
        "Last good cycle",
        "Red: its verdicts are old, trust none of them: docs/runbooks/monitor-stuck.md. No number: it does "
        "not answer, docs/runbooks/monitor-down.md.",
        "s",
        Query(AGE, "{{instance}}"),
        limits=(Step(UNKNOWN_COLOUR, None), Step("green", 0), Step("red", STALE)),
        no_value="silent",
    )


def _beat() -> Json:
    taken = f"monitor_heartbeat_last_success_timestamp_seconds{{{OF_INSTANCE}}}"
    return stat(
        "Last beat of the dead man's switch",
        "How long ago its outside URL took one; about as long as `heartbeat.every` is normal, else see its "
        "beats below. No number: none is set up, or it never took one, and nobody hears when the agent dies.",
        "s",
        Query(f"time() - ({taken} > 0)", "{{instance}}"),
        no_value="none",
        decimals=0,
    )


def _configuration() -> Json:
    return stat(
        "Configuration",
        "Refused: the files were changed and hold a mistake, the agent goes on with what it read before. "
        "Its log and its page name file, line and cure.",
        "none",
        Query(f"monitor_config_last_reload_successful{{{OF_INSTANCE}}}", "{{instance}}"),
        limits=(Step(UNKNOWN_COLOUR, None),),
        mappings=[mapping((0, "refused", "red"), (1, "in force", "green"))],
        no_value="silent",
    )


def _count(title: str, counter: str, advice: str, selector: str = "", worst: str = "red") -> Json:
    counted = selector or f"{counter}{{{OF_INSTANCE}}}"
    return stat(
        title,
        f"How many over the time shown; there should be none. {advice}",
        "none",
        Query(f"sum(increase({counted}[$__range]))", "count"),
        limits=(*EVENTS[:-1], Step(worst, 1)),
        decimals=0,
    )


def _lateness() -> Json:
    return quantile_lines(
        "How late cycles begin",
        "Milliseconds are normal. Seconds: the agent has too little CPU or too many targets; its probes "
        "then measure itself.",
        "monitor_lateness_seconds",
        OF_INSTANCE,
    )


def _cycle_time() -> Json:
    return quantile_lines(
        "How long a cycle takes",
        "Probing, judging and enqueueing of one target. It has to stay below the target's interval, or runs "
        "are missed; the slowest probe decides.",
        "monitor_cycle_duration_seconds",
        OF_INSTANCE,
    )


def _missed() -> Json:
    missed = f"60 * sum by (target) (rate(monitor_missed_runs_total{{{OF_INSTANCE}}}[$__rate_interval]))"
    failed = f"60 * sum(rate(monitor_cycle_errors_total{{{OF_INSTANCE}}}[$__rate_interval]))"
    return lines(
        "Cycles missed and failed, a minute",
        "Missed: the last one still ran, or we were late. Failed: our own fault, see its log; the verdicts "
        "are UNKNOWN.",
        "suffix:/min",
        Query(missed, "{{target}} missed"),
        Query(failed, "failed"),
        shade=NEUTRAL,
        axisSoftMax=1,
    )


def _outbox() -> Json:
    return lines(
        "Messages waiting to be sent",
        "0 is normal. Growing: a receiver does not answer; nothing is lost yet, it is tried again for a day. "
        "docs/runbooks/notifications-failing.md.",
        "none",
        Query(f"monitor_outbox_depth{{{OF_INSTANCE}}}", "{{instance}}"),
        shade=NEUTRAL,
        axisSoftMax=1,
    )


def _notifications() -> Json:
    sent = f"60 * sum by (outcome) (rate(monitor_notifications_total{{{OF_INSTANCE}}}[$__rate_interval]))"
    panel = lines(
        "Messages a minute, by outcome",
        "Orange: a receiver has trouble. Red: somebody was not told; docs/runbooks/notifications-failing.md.",
        "suffix:/min",
        Query(sent, "{{outcome}}"),
        axisSoftMax=1,
    )
    return coloured(panel, **OUTCOMES)


def _beats() -> Json:
    beats = f"60 * sum by (outcome) (rate(monitor_heartbeats_total{{{OF_INSTANCE}}}[$__rate_interval]))"
    panel = lines(
        "Beats of the dead man's switch, a minute",
        "Orange: its outside URL does not take them. Red: the agent withholds them, since it does not truly "
        "work: its /-/healthy says why. All at 0: no `heartbeat` is set up.",
        "suffix:/min",
        Query(beats, "{{outcome}}"),
        axisSoftMax=1,
    )
    return coloured(panel, **BEATS)


def _store() -> Json:
    errors = f"60 * sum by (instance) (rate(monitor_store_errors_total{{{OF_INSTANCE}}}[$__rate_interval]))"
    return lines(
        "The store: cycles waiting, errors a minute",
        "Waiting grows while the database is away; the agent goes on judging and paging without it. Full "
        "disk, locked file or a lost server: its log says which.",
        "none",
        Query(f"monitor_store_backlog{{{OF_INSTANCE}}}", "{{instance}} waiting"),
        Query(errors, "{{instance}} errors"),
        shade=NEUTRAL,
        axisSoftMax=1,
    )


def _memory() -> Json:
    return lines(
        "Its own memory",
        "Flat after an hour. Climbing for days: a leak; restart it and file it with a heap profile. The "
        "limit is its cgroup's.",
        "bytes",
        Query(f"process_tree_memory_bytes{{{OF_INSTANCE}}} {ITS_OWN}", "{{instance}}"),
    )


def _cpu() -> Json:
    used = f"rate(process_tree_cpu_seconds_total{{{OF_INSTANCE}}}[$__rate_interval])"
    return lines(
        "Its own CPU, in cores",
        "One core is all that one event loop can use: near it, cycles get late. Fewer targets, or longer "
        "intervals.",
        "none",
        Query(f"{used} {ITS_OWN}", "{{instance}}"),
    )


def _series() -> Json:
    return lines(
        "Series in memory, files open",
        "Series follow from targets and checks; climbing without a new target: a target's labels explode. "
        "Files climbing: connections are not closed.",
        "none",
        Query(f"monitor_series{{{OF_INSTANCE}}}", "{{instance}} series"),
        Query(f"process_tree_open_files{{{OF_INSTANCE}}} {ITS_OWN}", "{{instance}} files"),
    )

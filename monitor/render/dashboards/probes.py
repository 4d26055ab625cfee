"""Is it up as seen from outside, and why not?"""

from __future__ import annotations

from monitor.objectives import Objectives
from monitor.render import judged
from monitor.render.dashboard import OF_TARGET, Band, band, dashboard, heading, label_values, target_variables
from monitor.render.panels import (
    NEUTRAL,
    UNKNOWN_COLOUR,
    Json,
    Query,
    Step,
    coloured,
    lines,
    mapping,
    stacked,
    stat,
    states,
)
from monitor.render.quantiles import quantile

WHERE = f'{OF_TARGET}, check=~"$check"'
SUCCESS = f"probe_success{{{WHERE}}}"
UP = mapping((0, "DOWN", "red"), (1, "UP", "green"))
PHASES = {
    "dns": "purple",
    "connect": "light-blue",
    "tls": "dark-blue",
    "first_byte": "yellow",
    "transfer": "text",
}
REASONS = {
    "dns": "purple",
    "connect": "red",
    "tls": "dark-blue",
    "timeout": "yellow",
    "redirect": "light-blue",
    "status": "orange",
    "body": "light-orange",
    "too_large": "text",
    "throttled": "green",
    "stalled": "super-light-purple",
}
EACH = "{{target}} {{check}}"


def probes(objectives: Objectives) -> str:
    check = label_values("check", "Check", f"probe_success{{{OF_TARGET}}}")
    return dashboard(
        "probes",
        [*target_variables("probe_success"), check],
        _now(objectives),
        band(7, _heartbeat()),
        band(8, _reasons(), _in_a_row(objectives), _durations(), widths=(10, 7, 7)),
        heading("Where the time of a probe goes, check by check"),
        Band(8, ((12, _phases()),)),
    )


def _now(objectives: Objectives) -> Band:
    health = judged.named(objectives, "health-latency")
    figures = [judged.figure(objectives, health)] if health else []
    return band(4, _up(), _slowest(), *figures, widths=(12, 6, 6)[: 2 + len(figures)])


def _up() -> Json:
    return stat(
        "Up now",
        "DOWN: docs/runbooks/target-down.md, and the reasons below say how it fails. Nothing here: the "
        "agent probes nothing, or Prometheus does not see the agent.",
        "none",
        Query(f"min by (target, check) ({SUCCESS})", EACH),
        mappings=[UP],
        limits=(Step(UNKNOWN_COLOUR, None),),
    )


def _slowest() -> Json:
    return stat(
        "Slowest of the last probes",
        "As the agent waited for it, network and TLS included. Far more than the API says of itself: see "
        "the phases.",
        "s",
        Query(f"max(probe_last_duration_seconds{{{WHERE}}})", "slowest"),
    )


def _heartbeat() -> Json:
    """A failure between two points drawn far apart is still shown."""
    return states(
        "Heartbeat",
        "Red: at least one probe failed then; docs/runbooks/target-down.md. A gap: the agent was silent, "
        "which says nothing about the target.",
        Query(f"min by (target, check) (min_over_time({SUCCESS}[$__rate_interval]))", EACH),
        mapping=UP,
    )


def _reasons() -> Json:
    failed = f'probe_results_total{{{WHERE}, reason!="ok"}}'
    panel = stacked(
        "Why probes failed, a minute",
        "dns, connect, tls: the way there. timeout: it hangs. status, body: it answers, and wrongly. "
        "throttled: it asks us to slow down and is not down. docs/runbooks/target-down.md goes through "
        "them.",
        "suffix:/min",
        Query(f"60 * sum by (reason) (rate({failed}[$__rate_interval]))", "{{reason}}"),
        legend="right",
        drawStyle="bars",
        axisSoftMax=1,
    )
    return coloured(panel, **REASONS)


def _in_a_row(objectives: Objectives) -> Json:
    return lines(
        "Failures in a row",
        "From the line on the platform restarts the instance, and on-call is paged: "
        "docs/runbooks/target-down.md.",
        "none",
        Query(f"max by (target, check) (probe_consecutive_failures{{{WHERE}}})", EACH),
        limits=judged.limits_of(objectives, "target-down"),
        shade=NEUTRAL,
        axisSoftMax=judged.reach_of(objectives, "target-down"),
    )


def _durations() -> Json:
    """All probes, failed ones included: a time-out is as long as it took."""
    return lines(
        "Duration of probes (p95)",
        "Growing: the target, or the way there. Flat at the time-out: it hangs.",
        "s",
        Query(quantile(0.95, "probe_duration_seconds", WHERE, ("target", "check")), EACH),
    )


def _phases() -> Json:
    panel = stacked(
        "Phases of $check",
        "The thickest layer is where to look: dns and connect are the network, tls the certificate's side, "
        "first_byte the application thinking, transfer a large answer or a thin line. The mean of the "
        "targets chosen.",
        "s",
        Query(f'avg by (phase) (probe_phase_seconds{{{OF_TARGET}, check=~"$check"}})', "{{phase}}"),
        legend="right",
    )
    return coloured(panel, **PHASES) | {"repeat": "check", "repeatDirection": "h", "maxPerRow": 2}

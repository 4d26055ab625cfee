"""Rules about those who watch: the agent, Prometheus' view of the targets, and the way to on-call itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from monitor import alerting
from monitor.expressions import number
from monitor.judge import STALE_AFTER_INTERVALS
from monitor.links import AGENT as DASHBOARD

TARGET_ABSENT = "target-absent"
AGENT = alerting.OWN
"""Also the job of the agent in prometheus.yml."""


class Watcher(NamedTuple):
    """`target` is None where the expression says it."""

    name: str
    expression: str
    title: str
    description: str
    severity: str
    wait: str = "0s"
    target: str | None = AGENT


ABSENT = Watcher(
    TARGET_ABSENT,
    'group by (target) (present_over_time(up{target!=""}[1d]))\n  unless group by (target) (up{target!=""})',
    "Prometheus no longer knows this target",
    "It has left prometheus.yml or service discovery within the last day; nothing is measured.",
    "page",
    wait="5m",
    target=None,
)
DOWN = Watcher(
    "monitor-down",
    f'absent(up{{job="{AGENT}"}} == 1)',
    "The agent does not answer",
    "Nothing is probed from outside, and the agent notifies nobody.",
    "page",
    wait="3m",
)
STUCK = Watcher(
    "monitor-stuck",
    "max(time() - monitor_last_success_timestamp_seconds) > {}",
    "The agent has stopped measuring",
    "It answers, but no cycle has ended well: its verdicts are old.",
    "page",
    wait="1m",
)
UNSENT = Watcher(
    alerting.UNSENT,
    'sum(increase(monitor_notifications_total{outcome="given_up"}[15m])) > 0',
    "The agent has given up sending a message",
    "A receiver refused it for good, or for a day. Its log says which, and why.",
    "ticket",
)
WATCHDOG = {
    "alert": "Watchdog",
    "expr": "vector(1)",
    "labels": {"severity": "none", "target": AGENT, "check": "watchdog"},
    "annotations": {
        "summary": "Always fires: when it stops arriving, alerts no longer get through",
        "runbook": "docs/runbooks/watchdog.md",
    },
}


def watchers(probe_interval: float) -> dict[str, Any]:
    """`probe_interval`: seconds between two cycles of the agent."""
    stuck = STUCK._replace(expression=STUCK.expression.format(number(STALE_AFTER_INTERVALS * probe_interval)))
    rules = [_rule(each) for each in (ABSENT, DOWN, stuck, UNSENT)]
    return {"name": "watchers", "rules": [*rules, WATCHDOG]}


def _rule(watcher: Watcher) -> dict[str, Any]:
    whose = {"target": watcher.target} if watcher.target else {}
    rule: dict[str, Any] = {"alert": watcher.name, "expr": watcher.expression}
    if watcher.wait != "0s":
        rule["for"] = watcher.wait
    return rule | {
        "labels": {"severity": watcher.severity, **whose, "check": "scrape"},
        "annotations": {
            "summary": f"{watcher.target or '{{ $labels.target }}'}: {watcher.title}",
            "description": watcher.description,
            "runbook": f"docs/runbooks/{watcher.name}.md",
            "dashboard": f"d/{DASHBOARD}",
        },
    }

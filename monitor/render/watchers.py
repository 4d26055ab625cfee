"""Rules about those who watch: the agent, Prometheus' view of the targets, and the way to on-call itself."""

from __future__ import annotations

from typing import Any

from monitor.expressions import number
from monitor.judge import STALE_AFTER_INTERVALS
from monitor.links import AGENT as DASHBOARD

TARGET_ABSENT = "target-absent"
AGENT = "monitor"
"""The job of the agent in prometheus.yml, and the target that these alerts are about."""


def watchers(probe_interval: float) -> dict[str, Any]:
    """`probe_interval`: seconds between two cycles of the agent."""
    stuck = STALE_AFTER_INTERVALS * probe_interval
    return {
        "name": "watchers",
        "rules": [
            _rule(
                TARGET_ABSENT,
                'group by (target) (present_over_time(up{target!=""}[1d]))\n'
                '  unless group by (target) (up{target!=""})',
                "Prometheus no longer knows this target",
                "It has left prometheus.yml or service discovery within the last day; nothing is measured.",
                wait="5m",
                severity="page",
                check="scrape",
            ),
            _rule(
                "monitor-down",
                f'absent(up{{job="{AGENT}"}} == 1)',
                "The agent does not answer",
                "Nothing is probed from outside, and the agent notifies nobody.",
                wait="3m",
                severity="page",
                target=AGENT,
                check="scrape",
            ),
            _rule(
                "monitor-stuck",
                f"max(time() - monitor_last_success_timestamp_seconds) > {number(stuck)}",
                "The agent has stopped measuring",
                "It answers, but no cycle has ended well: its verdicts are old.",
                wait="1m",
                severity="page",
                target=AGENT,
                check="scrape",
            ),
            _rule(
                "notifications-failing",
                'sum(increase(monitor_notifications_total{outcome="given_up"}[15m])) > 0',
                "The agent has given up sending a message",
                "A receiver refused it for good, or for a day. Its log says which, and why.",
                wait="0s",
                severity="ticket",
                target=AGENT,
                check="scrape",
            ),
            {
                "alert": "Watchdog",
                "expr": "vector(1)",
                "labels": {"severity": "none", "target": AGENT, "check": "watchdog"},
                "annotations": {
                    "summary": "Always fires: when it stops arriving, alerts no longer get through",
                    "runbook": "docs/runbooks/watchdog.md",
                },
            },
        ],
    }


def _rule(
    name: str, expression: str, title: str, description: str, *, wait: str, severity: str, **labels: str
) -> dict[str, Any]:
    whose = labels.get("target", "{{ $labels.target }}")
    rule: dict[str, Any] = {"alert": name, "expr": expression}
    if wait != "0s":
        rule["for"] = wait
    return rule | {
        "labels": {"severity": severity, **labels},
        "annotations": {
            "summary": f"{whose}: {title}",
            "description": description,
            "runbook": f"docs/runbooks/{name}.md",
            "dashboard": f"d/{DASHBOARD}",
        },
    }

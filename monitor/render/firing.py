"""What fires now: by Prometheus' rules, or else by the agent."""

from __future__ import annotations

from monitor.alerting import LOUDNESS, NO_DATA
from monitor.objectives import Objectives
from monitor.render.dashboard import OF_TARGET, TARGET

SAME = "on (alertname, target, check)"
WHO = "by (alertname, target, check, evaluator)"


def firing(objectives: Objectives, severity: str) -> str:
    """A series for each alert of this severity, 1; Prometheus and agent count the same alert once."""
    by_rules = f'ALERTS{{alertstate="firing", severity="{severity}", {TARGET}}}'
    said_by_rules = f'label_replace({by_rules}, "evaluator", "Prometheus", "", "")'
    named = f'label_replace({_by_agent(objectives, severity)}, "alertname", "$1", "alert", "(.+)")'
    said_by_agent = f'label_replace({named}, "evaluator", "agent", "", "")'
    return f"group {WHO} ({said_by_rules}) or {SAME} group {WHO} ({said_by_agent})"


def _by_agent(objectives: Objectives, severity: str) -> str:
    """Its metric has no severity: that follows from the alert's name, and for missing data from the check."""
    names = [each.name for each in objectives if each.severity == severity]
    blinded = [check for check, loudest in _loudest(objectives).items() if loudest == severity]
    wanted = [(names, ""), ([NO_DATA] if blinded else [], f', check=~"{"|".join(blinded)}"')]
    return "({})".format(
        " or ".join(
            f'alert_state{{{OF_TARGET}, state="firing", alert=~"{"|".join(alerts)}"{where}}} == 1'
            for alerts, where in wanted
            if alerts
        )
    )


def _loudest(objectives: Objectives) -> dict[str, str]:
    """Of each check, how loud it is when its data is missing."""
    found: dict[str, str] = {}
    for each in objectives:
        both = (each.no_data.severity, found.get(each.check, LOUDNESS[0]))
        found[each.check] = max(both, key=LOUDNESS.index)
    return found

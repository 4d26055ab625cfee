"""The table of thresholds in the docs."""

from __future__ import annotations

from monitor.objectives import Objective, Objectives
from monitor.quantity import format_duration

HEAD = """# Thresholds

Written by `paciolus-monitor render` from [alerts/objectives.yml](../alerts/objectives.yml), the only file
that holds thresholds. Section numbers are those of the deployment and operations architecture.

| objective | what | alert when | ends when | window | for | severity | documented |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def thresholds_page(objectives: Objectives) -> str:
    return HEAD + "\n".join(map(_row, objectives)) + "\n"


def _row(objective: Objective) -> str:
    alert = str(objective.breach) + (f" (warn: {objective.warn})" if objective.warn else "")
    ends = str(objective.clear or "within it")
    if objective.good_results > 1:
        ends += f", {objective.good_results} times in a row"
    cells = (
        f"[{objective.name}]({objective.runbook.removeprefix('docs/')})",
        objective.title,
        alert,
        ends,
        format_duration(objective.window),
        format_duration(objective.for_),
        objective.severity,
        objective.document,
    )
    return f"| {' | '.join(cells)} |"

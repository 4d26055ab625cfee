"""The table of thresholds, for the docs and for the agent's page."""

from __future__ import annotations

from monitor.objectives import Objective, Objectives
from monitor.quantity import format_duration

HEAD = """
| objective | what | alert when | ends when | window | for | severity | documented |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


def threshold_table(objectives: Objectives) -> str:
    """Markdown; links to runbooks are relative to the folder `docs`."""
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

"""The table of thresholds in the docs."""

from __future__ import annotations

from monitor.objectives import Objectives
from monitor.thresholds import threshold_table

HEAD = """# Thresholds

Written by `paciolus-monitor render` from [alerts/objectives.yml](../alerts/objectives.yml), the only file
that holds thresholds. Section numbers are those of the deployment and operations architecture.
"""


def thresholds_page(objectives: Objectives) -> str:
    return HEAD + threshold_table(objectives)

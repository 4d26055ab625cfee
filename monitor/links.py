"""Where an objective is drawn: alerts link to the panel that is about them."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.objectives import Objective, Objectives

OVERVIEW = "paciolus-overview"
AGENT = "paciolus-agent"
PROBES = "paciolus-probes"
FIRST_PANEL = 100
"""Of the panels of objectives; those below are the dashboard's own. The order is that of objectives.yml."""


def panel_id(objectives: Objectives, objective: Objective) -> int:
    return FIRST_PANEL + objectives.entries.index(objective)


def panel_link(objectives: Objectives, objective: Objective) -> str:
    """Relative to Grafana's address; Alertmanager's template adds that, and the time range of the alert."""
    return f"d/{OVERVIEW}?viewPanel={panel_id(objectives, objective)}"


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses without a slash at their end, "" for what there is not: Grafana, the folder in which the
    runbooks' paths start, the agent's own page."""

    dashboards: str = ""
    runbooks: str = ""
    page: str = ""


NO_LINKS = Links()

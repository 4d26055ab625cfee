"""One file a dashboard; adding one takes a file, its question in FAMILY, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from monitor.objectives import Objectives
from monitor.render.dashboards.agent import agent
from monitor.render.dashboards.api import api
from monitor.render.dashboards.database import database
from monitor.render.dashboards.overview import overview
from monitor.render.dashboards.probes import probes
from monitor.render.dashboards.security import security

DASHBOARDS: dict[str, Callable[[Objectives], str]] = {
    "dashboards/overview.json": overview,
    "dashboards/api.json": api,
    "dashboards/database.json": database,
    "dashboards/security.json": security,
    "dashboards/probes.json": probes,
    "dashboards/agent.json": agent,
}

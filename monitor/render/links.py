"""The links of monitor/links.py, under the name by which what is rendered knows them."""

from __future__ import annotations

from monitor.links import AGENT, FIRST_PANEL, OVERVIEW, PROBES, panel_id, panel_link

__all__ = ["AGENT", "FIRST_PANEL", "OVERVIEW", "PROBES", "panel_id", "panel_link"]

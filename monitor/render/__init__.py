"""Files that follow from alerts/objectives.yml and are committed. `render --check` finds drift."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor.objectives import Objectives, load_objectives
from monitor.render.dashboards import DASHBOARDS
from monitor.render.grafana import GRAFANA
from monitor.render.rule_tests import rules_slow_test, rules_test
from monitor.render.rules import rules_file
from monitor.render.thresholds import thresholds_page
from monitor.resources import ROOT

RENDERED: dict[str, Callable[[Objectives], str]] = {
    "alerts/rules.yml": rules_file,
    "alerts/rules_test.yml": rules_test,
    "alerts/rules_slow_test.yml": rules_slow_test,
    **DASHBOARDS,
    **GRAFANA,
    "docs/thresholds.md": thresholds_page,
}


def rendered() -> Iterator[tuple[Path, str]]:
    objectives = load_objectives(ROOT / "alerts" / "objectives.yml")
    for name, page in RENDERED.items():
        yield ROOT / name, page(objectives)


def write() -> list[Path]:
    written = []
    for path, text in rendered():
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def out_of_date() -> str:
    """A unified diff from what is there to what should be; empty when they agree."""
    found: list[str] = []
    for path, text in rendered():
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        name = str(path.relative_to(ROOT))
        found += difflib.unified_diff(
            present.splitlines(), text.splitlines(), name, f"{name} (as objectives.yml says)", lineterm=""
        )
    return "\n".join(found)

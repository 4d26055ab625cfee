"""What is written from alerts/objectives.yml: it is up to date, it follows, and its dashboard is in order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from monitor import render
from monitor.__main__ import app
from monitor.metrics import AgentMetrics
from monitor.resources import ROOT

DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
WITHOUT_A_SCALE = ("text", "row", "logs")


def copied_house(folder: Path) -> None:
    """As much of the house as rendering reads and writes."""
    for name in ("alerts/objectives.yml", *render.RENDERED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "docs" / "runbooks").symlink_to(ROOT / "docs" / "runbooks")


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied_house(tmp_path)
    monkeypatch.setattr(render, "ROOT", tmp_path)
    return tmp_path


def test_what_is_committed_is_up_to_date() -> None:
    checked = CliRunner().invoke(app, ["render", "--check"])
    assert (checked.exit_code, checked.output) == (0, "")


def test_a_changed_threshold_shows_everywhere_and_is_told_readably(house: Path) -> None:
    objectives = house / "alerts" / "objectives.yml"
    objectives.write_text(objectives.read_text().replace("breach: above 100/min", "breach: above 60/min"))
    checked = CliRunner().invoke(app, ["render", "--check"])
    assert checked.exit_code == 1
    changed = [line for line in checked.output.splitlines() if re.match(r"[-+](?![-+])", line)]
    assert '-      "title": "Failed logins, alert when above 100/min",' in changed
    assert '+      "title": "Failed logins, alert when above 60/min",' in changed
    assert '+                "value": 60.0' in changed
    assert any(line.startswith("-| [failed-logins]") and "| above 100/min |" in line for line in changed)
    assert any(line.startswith("+| [failed-logins]") and "| above 60/min |" in line for line in changed)
    assert len(changed) <= 12

    assert CliRunner().invoke(app, ["render"]).exit_code == 0
    assert CliRunner().invoke(app, ["render", "--check"]).exit_code == 0


def test_a_missing_file_is_out_of_date(house: Path) -> None:
    (house / "docs" / "thresholds.md").unlink()
    assert "+# Thresholds" in render.out_of_date()


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(request.param.read_text())
    return loaded


def drawn(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] not in WITHOUT_A_SCALE]


def queries(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in drawn(dashboard) for target in panel["targets"]]


def test_its_frame(dashboard: dict[str, Any]) -> None:
    assert re.fullmatch(r"paciolus-[a-z-]+", dashboard["uid"])
    assert dashboard["title"]
    assert dashboard["description"]
    assert dashboard["editable"] is False
    assert dashboard["timezone"] == "utc"
    assert dashboard["refresh"] == "30s"
    assert dashboard["tags"] == ["paciolus"]
    assert [(link["type"], link["tags"]) for link in dashboard["links"]] == [("dashboards", ["paciolus"])]


def test_its_variables(dashboard: dict[str, Any]) -> None:
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert [name for name, each in variables.items() if each["type"] == "datasource"] == ["datasource"]
    for name in ("job", "instance"):
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
        assert variables[name]["allValue"] == ".+"
        on_time_range = 2
        assert variables[name]["refresh"] == on_time_range


def test_every_panel_says_what_it_shows(dashboard: dict[str, Any]) -> None:
    for panel in drawn(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"]
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert defaults["unit"]
        assert defaults["min"] == 0
        assert (defaults["unit"] == "percentunit") == (defaults.get("max") == 1)
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["displayMode"] == "table"
            assert panel["options"]["legend"]["calcs"] == ["mean", "max", "lastNotNull"]


def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [cell for panel in dashboard["panels"] for cell in covered(**panel["gridPos"])]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < 24


def covered(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((column, row) for column in range(x, x + w) for row in range(y, y + h))


def test_every_selector_asks_for_the_chosen_job_and_instance(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        selectors = re.findall(r"\w+\{([^}]*)\}", query)
        assert selectors, query
        for matchers in selectors:
            assert 'job=~"$job"' in matchers, query
            assert 'instance=~"$instance"' in matchers, query


def test_every_metric_has_a_selector_and_exists(dashboard: dict[str, Any]) -> None:
    registry = CollectorRegistry()
    AgentMetrics(registry)
    known = {family.name for family in registry.collect()}
    for query in queries(dashboard):
        without_text = re.sub(r'"[^"]*"', '""', query)
        assert set(re.findall(r"(\w+)\{", without_text)) <= known, query
        assert not re.findall(rf"\b(?:{'|'.join(known)})\b(?!\{{)", without_text), query


def test_counters_only_under_a_rate_over_the_scrape_interval(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        assert set(re.findall(r"\[([^\]]*)\]", query)) <= {"$__rate_interval"}, query
        counters = re.findall(r"\w+_(?:total|bucket|count|sum)\{", query)
        rated = re.findall(r"(?:rate|increase)\((\w+_(?:total|bucket|count|sum)\{)", query)
        assert counters == rated, query


def test_the_overview_shows_every_objective_in_the_order_of_the_file() -> None:
    overview = json.loads((ROOT / "dashboards" / "overview.json").read_text())
    named = [re.search(r'objective="([^"]+)"', query) for query in queries(overview)]
    written = re.findall(r"^  - name: (\S+)", (ROOT / "alerts" / "objectives.yml").read_text(), re.MULTILINE)
    assert [each[1] for each in named if each] == written


def test_without_an_agent_nothing_is_green() -> None:
    """Grafana gives "no value" the colour of the first step."""
    overview = json.loads((ROOT / "dashboards" / "overview.json").read_text())
    for panel in overview["panels"]:
        if panel["type"] == "stat":
            defaults = panel["fieldConfig"]["defaults"]
            assert defaults["thresholds"]["steps"][0]["color"] != "green"
            assert defaults["noValue"]
            assert "vector(0)" not in panel["targets"][0]["expr"]


def test_the_picture_of_it_is_small() -> None:
    assert (ROOT / "docs" / "pictures" / "overview.png").stat().st_size < 300_000

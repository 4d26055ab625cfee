"""The rules that every dashboard keeps, most of them those of Grafana's own linter for dashboards."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from app.main import create_app
from app.settings import Settings
from exporters.process import watch_process
from monitor.links import panel_id
from monitor.metrics import AgentMetrics
from monitor.objectives import load_objectives
from monitor.render.dashboard import FAMILY
from tests.dashboards import DASHBOARDS, HOUSE, asked, drawn, selected, variables

OBJECTIVES = load_objectives(HOUSE / "alerts" / "objectives.yml")
RULES = HOUSE / "alerts" / "rules.yml"
COLUMNS = 24
ON_TIME_RANGE = 2
MAY_PASS_ONE = {
    "Database pool in use": "overflow connections come on top of the size",
    "In use / size": "overflow connections come on top of the size",
    "Memory in use": "the limit may be lowered under what is in use",
    "CPU in use": "a quota may be passed for a moment",
}
"""Ratios whose axis ends above 1 if it has to: a line that leaves the picture would look like no line."""
NO_QUERY_OF_A_COUNTER = ("rate", "increase")
OTHER_WINDOWS = {"last_over_time": timedelta(hours=1)}
"""A marker's: which versions ran lately."""


@pytest.fixture(params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return DASHBOARDS[request.param]


def queries(dashboard: dict[str, Any]) -> list[str]:
    """Of panels and of annotations."""
    of_panels = [query.expression for query in asked(dashboard)]
    return of_panels + [each["expr"] for each in dashboard["annotations"]["list"]]


def test_there_is_one_for_each_question() -> None:
    assert set(DASHBOARDS) == set(FAMILY)
    assert {each["uid"] for each in DASHBOARDS.values()} == {f"paciolus-{name}" for name in FAMILY}


def test_its_frame(dashboard: dict[str, Any]) -> None:
    assert dashboard["description"].endswith("?")
    assert dashboard["editable"] is False
    assert dashboard["timezone"] == "utc"
    assert dashboard["refresh"] == "30s"
    assert dashboard["schemaVersion"] == 39
    assert dashboard["tags"] == ["paciolus"]


def test_it_links_to_all_others_and_keeps_time_and_target(dashboard: dict[str, Any]) -> None:
    paths = {link["url"].partition("?")[0] for link in dashboard["links"]}
    others = {each["uid"] for each in DASHBOARDS.values()} - {dashboard["uid"]}
    assert paths == {f"/d/{uid}" for uid in others}
    for link in dashboard["links"]:
        assert link["keepTime"]
        assert link["tags"] == ["paciolus"]
        assert "${datasource:queryparam}&${target:queryparam}" in link["url"]


def test_its_variables(dashboard: dict[str, Any]) -> None:
    by_name = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert [name for name, each in by_name.items() if each["type"] == "datasource"] == ["datasource"]
    assert by_name["datasource"]["query"] == "prometheus"
    assert {"job", "instance"} <= set(by_name)
    for name, selector, label in variables(dashboard):
        assert by_name[name]["multi"]
        assert by_name[name]["includeAll"]
        assert by_name[name]["refresh"] == ON_TIME_RANGE
        # A target that nobody has labelled is shown with "All" too.
        assert by_name[name]["allValue"] == (".*" if name == "target" else ".+")
        assert by_name[name]["datasource"]["uid"] == "${datasource}"
        assert label == name
        selected(selector)


def test_every_variable_that_is_asked_for_is_offered(dashboard: dict[str, Any]) -> None:
    offered = {each["name"] for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)([a-z]\w*)", " ".join(queries(dashboard))))
    assert used <= offered
    assert offered - used <= {"datasource"}


def test_every_panel_says_what_it_shows_and_what_to_do(dashboard: dict[str, Any]) -> None:
    for panel in drawn(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert len(panel["description"].split()) >= 10, panel["title"]
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        assert defaults["unit"]
        assert defaults["min"] == 0


def test_markers_are_always_1(dashboard: dict[str, Any]) -> None:
    """Grafana draws none for 0 or NaN, and so none for the gate that failed."""
    assert [each["expr"][:9] for each in dashboard["annotations"]["list"]] == ["group by "] * 2


def test_titles_are_unique(dashboard: dict[str, Any]) -> None:
    """People say them to each other on the phone."""
    assert Counter(panel["title"] for panel in dashboard["panels"]).most_common(1)[0][1] == 1


def test_descriptions_name_files_that_exist(dashboard: dict[str, Any]) -> None:
    for panel in drawn(dashboard):
        for name in re.findall(r"\b(?:docs|alerts|exporters)/[\w/.-]*\w", panel["description"]):
            assert name == "docs/runbooks/ALERT.md" or (HOUSE / name).exists(), name


def test_ratios_end_at_one(dashboard: dict[str, Any]) -> None:
    for panel in drawn(dashboard):
        defaults = panel["fieldConfig"]["defaults"]
        if defaults["unit"] != "percentunit":
            assert "max" not in defaults
        elif "max" not in defaults:
            assert panel["title"].partition(",")[0] in MAY_PASS_ONE
            assert defaults.get("custom", {"axisSoftMax": 1})["axisSoftMax"] == 1
        else:
            assert defaults["max"] == 1


def test_lines_have_a_table_of_mean_max_last(dashboard: dict[str, Any]) -> None:
    for panel in drawn(dashboard):
        if panel["type"] == "timeseries":
            legend = panel["options"]["legend"]
            assert legend["displayMode"] == "table"
            assert legend["calcs"] == ["mean", "max", "lastNotNull"]


def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [cell for panel in dashboard["panels"] for cell in covered(**panel["gridPos"])]
    assert len(set(cells)) == len(cells)
    assert max(column for column, _ in cells) < COLUMNS


def covered(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((column, row) for column in range(x, x + w) for row in range(y, y + h))


def test_every_selector_asks_for_the_chosen_job_and_instance(dashboard: dict[str, Any]) -> None:
    """Rules record per target, without job and instance: what they record is chosen by target alone."""
    for query in queries(dashboard):
        for series in selected(query):
            recorded = ":" in series.name or series.name == "ALERTS"
            if recorded:
                assert series.matchers["target=~"] == ".*", (series, query)
            else:
                assert series.matchers["job=~"] == ".+", (series, query)
                assert series.matchers["instance=~"] == ".+", (series, query)


def test_counters_only_under_a_rate(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        for series in selected(query):
            if re.search(r"_(total|bucket|count|sum)$", series.name):
                assert series.function in NO_QUERY_OF_A_COUNTER, (series, query)


def test_windows_follow_the_time_range(dashboard: dict[str, Any]) -> None:
    """A rate is over $__rate_interval; only what happened over all the time shown is over $__range."""
    rate_interval, shown = timedelta(seconds=41), timedelta(minutes=43)
    for query in queries(dashboard):
        for series in selected(query):
            allowed: dict[str, set[timedelta | None]] = {
                "rate": {rate_interval},
                "min_over_time": {rate_interval},
                "increase": {shown},
                "": {None},
            }
            other = {OTHER_WINDOWS.get(series.function)}
            assert series.window in allowed.get(series.function, other), (series, query)


def test_every_metric_exists(dashboard: dict[str, Any], known_metrics: set[str]) -> None:
    of_variables = [selector for _, selector, _ in variables(dashboard)]
    for query in queries(dashboard) + of_variables:
        assert {series.name for series in selected(query)} <= known_metrics, query


@pytest.fixture(scope="module")
def known_metrics(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """As API and agent show them, those that rules record, and Prometheus' own."""
    registry = CollectorRegistry()
    AgentMetrics(registry)
    database = tmp_path_factory.mktemp("api") / "api.db"
    create_app(
        Settings.load(database_url=f"sqlite:///{database}", jwt_secret_rotated_at="2026-01-01"), registry
    )
    shown = CollectorRegistry()
    watch_process(shown)
    families = [*registry.collect(), *shown.collect()]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    names = {family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))}
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    return names | {rule["record"] for rule in rules if "record" in rule} | {"ALERTS", "up"}


def test_the_overview_draws_every_objective_under_its_number() -> None:
    by_id = {panel["id"]: panel for panel in DASHBOARDS["overview"]["panels"]}
    for objective in OBJECTIVES:
        panel = by_id[panel_id(OBJECTIVES, objective)]
        assert panel["title"].startswith(objective.title)
        assert f'objective="{objective.name}"' in panel["targets"][0]["expr"]


def test_what_has_no_value_is_not_green() -> None:
    """Grafana gives "no value" the colour of the first step."""
    for dashboard in DASHBOARDS.values():
        for panel in drawn(dashboard):
            if panel["type"] == "stat":
                defaults = panel["fieldConfig"]["defaults"]
                assert defaults["thresholds"]["steps"][0]["color"] in ("purple", "text")
                assert defaults["noValue"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_there_is_a_small_picture_of_it(name: str) -> None:
    picture: Path = HOUSE / "docs" / "pictures" / f"{name}.png"
    assert 10_000 < picture.stat().st_size < 400_000

"""alerts/grafana/*.yml have the shape that Grafana's provisioning reads, and say what the objectives say."""

from __future__ import annotations

import json
import math
import operator
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.expressions import duration
from monitor.objectives import Objective, load_objectives
from monitor.render import RENDERED
from monitor.render.grafana import FOLDER, GRAFANA, LONGEST_UID, SECOND_LINE, expression, uid
from monitor.resources import ROOT

OBJECTIVES = load_objectives(ROOT / "alerts" / "objectives.yml")
ALERTMANAGER = yaml.safe_load((ROOT / "alerts" / "alertmanager.yml").read_text())
PREDICATES: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "lt": operator.lt,
    "gte": operator.ge,
    "lte": operator.le,
}
"""What Grafana's threshold expression understands by them."""
MUST = {"uid", "title", "condition", "data", "noDataState", "execErrState", "for", "labels", "annotations"}
MAY = MUST | {"dashboardUid", "panelId"}


def provisioned(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "alerts" / "grafana" / f"{name}.yml").read_text())
    assert loaded["apiVersion"] == 1
    return loaded


GROUPS = provisioned("rules")["groups"]
RULES: dict[str, dict[str, Any]] = {rule["title"]: rule for group in GROUPS for rule in group["rules"]}
OF_OBJECTIVES = pytest.mark.parametrize("objective", OBJECTIVES.entries, ids=lambda each: each.name)


def test_what_is_committed_is_rendered() -> None:
    assert GRAFANA.items() <= RENDERED.items()
    assert set(GRAFANA) == {f"alerts/grafana/{path.name}" for path in (ROOT / "alerts/grafana").iterdir()}


def test_every_group_has_a_folder_that_alertmanager_knows() -> None:
    inhibited = [matcher for rule in ALERTMANAGER["inhibit_rules"] for matcher in rule["target_matchers"]]
    assert f'grafana_folder="{FOLDER}"' in inhibited
    for group in GROUPS:
        assert set(group) == {"orgId", "name", "folder", "interval", "rules"}
        assert (group["orgId"], group["folder"]) == (1, FOLDER)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_shape_of_a_rule(rule: dict[str, Any]) -> None:
    assert set(rule) >= MUST
    assert set(rule) <= MAY
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rule["uid"])
    assert rule["noDataState"] in ("Alerting", "NoData", "OK", "KeepLast")
    assert rule["execErrState"] in ("Alerting", "Error", "OK", "KeepLast")
    assert ("dashboardUid" in rule) == ("panelId" in rule)
    assert (ROOT / rule["annotations"]["runbook"]).is_file()
    asked, held_against = rule["data"]
    assert [asked["refId"], held_against["refId"]] == ["A", "B"] == ["A", rule["condition"]]
    for query in rule["data"]:
        assert set(query) == {"refId", "datasourceUid", "relativeTimeRange", "model"}
        assert query["relativeTimeRange"]["from"] > query["relativeTimeRange"]["to"]
        assert query["model"]["refId"] == query["refId"]
        assert query["model"]["datasource"]["uid"] == query["datasourceUid"]
    assert (asked["datasourceUid"], asked["model"]["instant"]) == ("prometheus", True)
    assert (held_against["datasourceUid"], held_against["model"]["type"]) == ("__expr__", "threshold")
    assert held_against["model"]["expression"] == "A"
    assert len(held_against["model"]["conditions"]) == 1


def test_names_and_uids_are_those_of_one_rule() -> None:
    rules = [rule for group in GROUPS for rule in group["rules"]]
    assert len({rule["title"] for rule in rules}) == len(rules) == len({rule["uid"] for rule in rules})
    assert len({rule["uid"].lower() for rule in rules}) == len(rules)


def test_a_long_name_has_a_uid_of_its_own() -> None:
    long, longer = uid("a" * 60), uid("a" * 61)
    assert len(long) == len(longer) == LONGEST_UID
    assert long != longer
    assert uid("a" * 60) == long


@OF_OBJECTIVES
def test_it_breaks_where_the_objective_does(objective: Objective) -> None:
    evaluator = RULES[objective.name]["data"][1]["model"]["conditions"][0]["evaluator"]
    limit = evaluator["params"][0]
    for value in (math.nextafter(limit, -math.inf), limit, math.nextafter(limit, math.inf)):
        assert PREDICATES[evaluator["type"]](value, limit) == objective.breach.broken_by(value)


@OF_OBJECTIVES
def test_it_comes_after_prometheus_with_the_same_labels(objective: Objective) -> None:
    rule = RULES[objective.name]
    assert rule["for"] == duration(objective.for_ + SECOND_LINE)
    prometheus = yaml.safe_load((ROOT / "alerts" / "rules.yml").read_text())["groups"]
    first = next(
        each for group in prometheus for each in group["rules"] if each.get("alert") == objective.name
    )
    assert rule["labels"] == first["labels"]
    assert set(rule["annotations"]) == set(first["annotations"])
    for same in ("threshold", "runbook", "dashboard"):
        assert rule["annotations"][same] == first["annotations"][same]


@OF_OBJECTIVES
def test_its_panel_is_about_it(objective: Objective) -> None:
    rule = RULES[objective.name]
    dashboard = json.loads((ROOT / "dashboards" / "overview.json").read_text())
    assert rule["dashboardUid"] == dashboard["uid"]
    panel = next(each for each in dashboard["panels"] if each["id"] == rule["panelId"])
    assert f'objective="{objective.name}"' in "".join(target["expr"] for target in panel["targets"])


def test_nothing_is_taken_for_a_variable_of_the_environment() -> None:
    """Grafana fills in $NAME everywhere but in annotations, where only ${NAME} counts, and queries."""
    for rule in RULES.values():
        others = {key: value for key, value in rule.items() if key not in ("annotations", "data")}
        assert "$" not in json.dumps(others)
        assert "${" not in json.dumps(rule["annotations"])


def test_no_data_neither_fires_nor_resolves_but_for_prometheus_itself() -> None:
    states = {name: (rule["noDataState"], rule["execErrState"]) for name, rule in RULES.items()}
    assert states.pop("prometheus-down") == ("Alerting", "Alerting")
    assert set(states.values()) == {("KeepLast", "KeepLast")}


def test_all_goes_to_alertmanager_well_before_it_forgets() -> None:
    (point,) = provisioned("contact-points")["contactPoints"]
    (receiver,) = point["receivers"]
    assert len(receiver["uid"]) <= LONGEST_UID
    assert receiver["type"] == "prometheus-alertmanager"
    assert receiver["settings"] == {"url": "http://alertmanager:9093"}
    assert not receiver.get("disableResolveMessage")
    (policy,) = provisioned("notification-policies")["policies"]
    assert {each["receiver"] for each in (policy, *policy["routes"])} == {point["name"]}
    assert (policy["group_interval"], policy["repeat_interval"]) == ("1m", "1m")
    assert ALERTMANAGER["global"]["resolve_timeout"] == "5m"


def test_grafana_and_alertmanager_mute_advice_at_the_same_times() -> None:
    (timing,) = provisioned("mute-timings")["muteTimes"]
    (policy,) = provisioned("notification-policies")["policies"]
    (info,) = policy["routes"]
    (theirs,) = ALERTMANAGER["time_intervals"]
    assert info["object_matchers"] == [["severity", "=", "info"]]
    assert info["mute_time_intervals"] == [timing["name"]] == [theirs["name"]]
    assert timing["time_intervals"] == theirs["time_intervals"]


BURN = OBJECTIVES.by_name("availability-burn-1h")
SERIES = {"judged": 20, "probes": 120, "good": 116}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, [20]),
        ({"good": 117}, [0]),  # too few failures to alert, and known all the same
        ({"judged": None}, []),
    ],
    ids=["enough failures", "too few failures", "not judged"],
)
def test_what_the_query_of_a_burn_rate_brings(
    changes: dict[str, int | None], answer: list[int], promtool: Path, tmp_path: Path
) -> None:
    labels = f'{{objective="{BURN.name}", check="health", target="api"}}'
    series = [
        {"series": f"objective:{name}{labels}", "values": f"{value}"}
        for name, value in (SERIES | changes).items()
        if value is not None
    ]
    samples = [{"labels": '{target="api"}', "value": value} for value in answer]
    asked = {"expr": expression(BURN), "eval_time": "0s", "exp_samples": samples}
    test = {"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [asked]}]}
    (tmp_path / "test.yml").write_text(json.dumps(test))
    ran = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yml"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

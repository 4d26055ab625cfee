"""Reports of every outcome, and what pipelines include, against schemas that others wrote."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import xmlschema
import yaml

from monitor.gate.reports import REPORTS
from tests.gate import schemas
from tests.gate.reporting import CASES, EVERYTHING, NOT_JUDGED

HOUSE = Path(__file__).parents[2]
EXAMPLES = HOUSE / "docs/examples"
MADE = {**{end.name: made for end, made in CASES.items()}, "NOT_JUDGED": NOT_JUDGED}


@pytest.fixture(scope="module")
def junit() -> xmlschema.XMLSchema:
    return schemas.junit()


@pytest.fixture(scope="module")
def sarif() -> jsonschema_rs.Validator:
    return schemas.sarif()


@pytest.mark.parametrize("outcome", MADE)
def test_junit_of_every_outcome(junit: xmlschema.XMLSchema, outcome: str) -> None:
    junit.validate(REPORTS["junit"](MADE[outcome]))


@pytest.mark.parametrize("outcome", MADE)
def test_sarif_of_every_outcome(sarif: jsonschema_rs.Validator, outcome: str) -> None:
    sarif.validate(json.loads(REPORTS["sarif"](MADE[outcome])))


def test_the_schemas_refuse_what_is_wrong(junit: xmlschema.XMLSchema, sarif: jsonschema_rs.Validator) -> None:
    good = REPORTS["junit"](EVERYTHING)
    assert not junit.is_valid(re.sub(r'tests="\d+"', "", good))
    assert not junit.is_valid(good.replace("<skipped", "<left-out").replace("</skipped", "</left-out"))
    log: Any = json.loads(REPORTS["sarif"](EVERYTHING))
    wrongs: list[dict[str, Any]] = [{"level": "loud"}, {"message": {}}, {"ruleIndex": -2}, {"unheard": 1}]
    for wrong in wrongs:
        broken = copy.deepcopy(log)
        broken["runs"][0]["results"][0] |= wrong
        assert not sarif.is_valid(broken), wrong


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("action.yml", "github-actions"),
        (".gitlab/gate.gitlab-ci.yml", "gitlab-ci"),
        *((f"docs/examples/{each.name}", "gitlab-ci") for each in EXAMPLES.glob("gitlab-*.yml")),
        *((f"docs/examples/{each.name}", "github-workflows") for each in EXAMPLES.glob("github-*.yml")),
    ],
)
def test_what_pipelines_include(path: str, schema: str) -> None:
    # YAML 1.1 reads the key `on` as true.
    written = {"on" if key is True else key: value for key, value in _read(HOUSE / path).items()}
    known = schemas.vendored(schema)
    known.validate(written)
    assert not known.is_valid({**written, "image": 3, "runs": 3, "jobs": 3})


def _read(path: Path) -> dict[Any, Any]:
    read: dict[Any, Any] = yaml.safe_load(path.read_text())
    return read

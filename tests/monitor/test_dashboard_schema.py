"""Every key of a dashboard is one that Grafana's own SDK knows: a misspelt one is lost on a round trip."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from tests.dashboards import DASHBOARDS, drawn

# Said on import. The classic shape is what Grafana 11 provisions from files.
pytestmark = pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """What of ours did not come back."""
    match ours, theirs:
        case dict(), dict():
            for key, value in ours.items():
                yield from lost(value, theirs.get(key), f"{path}.{key}")
        case list(), list() if len(ours) == len(theirs):
            for mine, yours in zip(ours, theirs, strict=True):
                yield from lost(mine, yours, f"{path}[]")
        case _ if ours != theirs:
            yield f"{path}: {ours!r}"


def lost_by_the_sdk(dashboard: dict[str, Any]) -> list[str]:
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = Dashboard.from_json(copy.deepcopy(dashboard))
    return list(lost(dashboard, json.loads(json.dumps(read, cls=JSONEncoder))))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_own_sdk_knows_every_key(name: str) -> None:
    assert lost_by_the_sdk(DASHBOARDS[name]) == []


@pytest.mark.parametrize("place", ["options", "fieldConfig", "gridPos"])
def test_the_sdk_would_find_a_misspelt_key(place: str) -> None:
    dashboard = copy.deepcopy(DASHBOARDS["overview"])
    drawn(dashboard)[-1][place]["misspelt"] = 1
    assert lost_by_the_sdk(dashboard) == [f".panels[].{place}.misspelt: 1"]

"""The JSON API says what its own OpenAPI document promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validator_for

from tests.web.asking import browser
from tests.web.scenes import NOW, SCENES, World, alert, deployed, happened, incident, lived

PATHS = {
    "/api/v1/status": "/api/v1/status",
    "/api/v1/silences": "/api/v1/silences",
    "/api/v1/targets/api/bars?range=1h": "/api/v1/targets/{name}/bars",
    "/api/v1/targets/api/objectives/error-rate": "/api/v1/targets/{name}/objectives/{objective}",
    "/api/v1/targets/api/failures?most=3": "/api/v1/targets/{name}/failures",
    "/api/v1/incidents?days=30": "/api/v1/incidents",
    "/api/v1/incidents/1": "/api/v1/incidents/{number}",
    "/api/v1/deploys": "/api/v1/deploys",
    "/api/v1/gate": "/api/v1/gate",
}


def remembering(folder: Path) -> World:
    made = incident(folder)
    lived(made, "api", down=[(0.5, 0.3)], born=0.1)
    happened(made, alert("error-rate", "api", "7.08 %"), ago=1440, lasted=1e9)
    happened(made, alert("target-down", "api", "3"), ago=7200, lasted=1800)
    deployed(made, "api", "2.8.1", "2.8.0", 3)
    made.quiet.add_silence(author="bob", reason="index", ends_at=NOW + 3600, now=NOW, target="worker")
    return made


async def test_answers_have_the_shapes_that_the_document_promises(tmp_path: Path) -> None:
    web = browser(remembering(tmp_path))
    document = (await web.get("/api/v1/openapi.json")).json()
    for path, documented in PATHS.items():
        answer = await web.get(path)
        assert answer.status_code == 200, path
        described = document["paths"][documented]["get"]["responses"]["200"]["content"]["application/json"]
        schema: dict[str, Any] = {**described["schema"], "components": document["components"]}
        errors = [error.message for error in validator_for(schema).iter_errors(answer.json())]
        assert errors == [], path
        assert answer.json(), path


async def test_the_document_says_who_may_and_what_can_go_wrong(tmp_path: Path) -> None:
    document = (await browser(incident(tmp_path)).get("/api/v1/openapi.json")).json()
    for path, methods in document["paths"].items():
        assert path.startswith("/api/v1/")
        for method, described in methods.items():
            assert described["summary"], (method, path)
            if method != "get":
                assert {"401", "403", "422", "503"} <= described["responses"].keys()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/targets/nobody/bars", 404),
        ("/api/v1/targets/api/objectives/nothing", 404),
        ("/api/v1/targets/api/bars?range=2y", 422),
        ("/api/v1/targets/api/failures?most=100000", 422),
        ("/api/v1/incidents?days=1e9", 422),
        ("/api/v1/incidents/99999999999999999999", 404),
        ("/api/v1/incidents/x", 404),
    ],
)
async def test_what_there_is_not(tmp_path: Path, path: str, status: int) -> None:
    answer = await browser(incident(tmp_path)).get(path)
    assert answer.status_code == status
    assert answer.json()["detail"]


async def test_history_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    made = remembering(tmp_path)
    made.history.engine.dispose()
    (tmp_path / "agent.db").unlink()
    (tmp_path / "agent.db").mkdir()
    answer = await browser(made).get("/api/v1/incidents")
    assert answer.status_code == 503
    assert "history is not available" in answer.json()["detail"]


@pytest.mark.parametrize("scene", SCENES)
async def test_every_scene_has_a_status(scene: str, tmp_path: Path) -> None:
    status = (await browser(SCENES[scene](tmp_path)).get("/api/v1/status")).json()
    assert {"now", "faults", "targets", "objectives", "alerts"} <= status.keys()

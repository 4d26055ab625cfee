from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.main import create_app
from app.settings import Settings
from monitor.gate.checks import CHECKS
from monitor.gate.config import GateConfig, load_gate
from monitor.gate.routes import Route, protected
from monitor.objectives import load_objectives
from monitor.resources import resource
from monitor.yamlfile import ConfigError

OBJECTIVES = load_objectives(resource("alerts", "objectives.yml"))
SHIPPED = resource("alerts", "gate.yml")
SMALL = """\
version: 1
requests: [GET /clients]
checks:
  upload:
  clean-up:
  latency-p95: {objective: latency-p95}
  home-page: {claim: below 2s}
profiles:
  small: {checks: [upload, latency-p95]}
"""


def loaded(text: str, folder: Path, **environ: str) -> GateConfig:
    path = folder / "gate.yml"
    path.write_text(text)
    return load_gate(path, OBJECTIVES, environ)


def test_all_checks_stand_in_the_shipped_file_and_in_its_default_profile() -> None:
    shipped = load_gate(SHIPPED, OBJECTIVES, {})
    assert shipped.claims.keys() == CHECKS.keys()
    assert {*shipped.profiles["post-deploy"].checks, "clean-up"} == CHECKS.keys()
    assert shipped.profiles.keys() == {"post-deploy", "canary", "pre-deploy"}


def test_claims_have_their_lines() -> None:
    claims = load_gate(SHIPPED, OBJECTIVES, {}).claims
    for name, claim in claims.items():
        file, _, line = claim.where.partition(":")
        written = resource(*file.split("/")).read_text().splitlines()[int(line) - 1]
        assert (f"  {name}:" in written) or (claim.objective and claim.objective.name in written)


def test_routes_that_want_a_token_are_those_of_the_api(tmp_path: Path) -> None:
    app = create_app(Settings.load(database_url=f"sqlite:///{tmp_path}/api.db"), CollectorRegistry())
    listed = {Route(*each.split(" ")) for each in load_gate(SHIPPED, OBJECTIVES, {}).protected}
    assert listed == set(protected(app.openapi()))


def test_sampled_requests_are_routes_of_the_api(tmp_path: Path) -> None:
    app = create_app(Settings.load(database_url=f"sqlite:///{tmp_path}/api.db"), CollectorRegistry())
    routes = {
        f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods
    }
    asked = {each.replace("{client}", "{client_id}") for each in load_gate(SHIPPED, OBJECTIVES, {}).requests}
    assert asked <= routes


def test_what_is_not_set_is_empty(tmp_path: Path) -> None:
    shipped = load_gate(SHIPPED, OBJECTIVES, {"GATE_FRONTEND": "https://paciolus.com"})
    assert (shipped.frontend, shipped.account.email, shipped.database) == ("https://paciolus.com", "", "")
    assert not shipped.metrics.given


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("upload:", "uplaod:", "line 4: checks.uplaod: there is no check 'uplaod'; did you mean 'upload'?"),
        ("[upload,", "[uplod,", "there is no 'uplod' under checks; did you mean 'upload'?"),
        ("objective: latency-p95", "objective: latency", "of kind quantile in objectives.yml; did you mean"),
        ("objective: latency-p95", "objective: pool-usage", "no objective 'pool-usage' of kind quantile"),
        ("{objective: latency-p95}", "", "checks.latency-p95.objective: missing; add `objective: …` here"),
        ("claim: below 2s", "claim: below 20%", "expected a limit such as below 2s, got 'below 20%'"),
        ("{claim: below 2s}", "", "checks.home-page.claim: missing; add `claim: …` here, such as below 2s"),
        ("upload:\n", "upload: {claim: below 2s}\n", "checks.upload.claim: this check needs no limit"),
        ("upload:\n", "upload: {objective: error-rate}\n", "this check follows no objective; remove it"),
        ("upload, latency-p95", "upload, upload", "'upload' is in this profile already"),
        ("[upload,", "[clean-up, upload,", "this is always done, when all is over; remove it"),
        ("small: {", "small: {max_time: 90, ", "expected a duration such as 30s, 5m or 30d, got 90"),
        ("small: {", "small: {max_requests: 0, ", "max_requests: expected at least 1, got 0"),
        ("[GET /clients]", "[FETCH /clients]", "expected a method and a path such as GET /clients"),
        ("version: 1\n", "version: 1\nfrontend: paciolus.com\n", "did you forget http:// or https://?"),
        ("version: 1\n", "version: 1\nacount: {}\n", "unknown key; did you mean 'account'?"),
        ("version: 1\n", "version: 1\naccount: {email: a@example.com}\n", "account.password: e-mail address"),
        ("version: 1\n", "version: 1\nca_file: none.pem\n", "expected a file, beside gate.yml or absolute"),
        ("version: 1\n", "version: 1\nedge: never\n", "expected 'auto' or 'always', got 'never'"),
    ],
)
def test_mistakes_name_place_and_cure(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert loaded(SMALL, tmp_path).profiles["small"].max_time == 120
    with pytest.raises(ConfigError) as error:
        loaded(SMALL.replace(old, new, 1), tmp_path)
    place, _, message = said.rpartition("line 4: ")
    assert message in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/gate.yml:")
    assert not place


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(SMALL + "jwt_secret: ${SECRET}\n", tmp_path, SECRET="with a space")
    assert "with a space" not in str(error.value)

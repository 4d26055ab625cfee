"""docker-compose.monitoring.yml as Debian's docker-compose reads it, which needs no engine for that."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from monitor.stack.compose import expanded, load_services, moved
from monitor.stack.ports import DOCUMENTED, variable
from tests.servers import require_program

HOUSE = Path(__file__).parent.parent.parent
COMPOSE = HOUSE / "docker-compose.monitoring.yml"
SECRET = "0123456789abcdef" * 4
SECRETS = ("POSTGRES_PASSWORD", "JWT_SECRET_KEY", "GRAFANA_ADMIN_PASSWORD")
ALL_SECRETS = dict.fromkeys(SECRETS, SECRET)
SERVICES = (*DOCUMENTED, "grafana")


def docker_compose(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require_program("docker-compose"), "--file", COMPOSE, "config"],
        cwd=HOUSE,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    done = docker_compose(ALL_SECRETS)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = yaml.safe_load(done.stdout)
    return read


def test_it_has_the_services_of_the_stack(config: dict[str, Any]) -> None:
    assert set(config["services"]) == set(SERVICES)


@pytest.mark.parametrize("missing", SECRETS)
@pytest.mark.parametrize("how", ["unset", "empty"])
def test_it_starts_nothing_without_a_secret(missing: str, how: str) -> None:
    given = {name: value for name, value in ALL_SECRETS.items() if name != missing}
    done = docker_compose(given | ({missing: ""} if how == "empty" else {}))
    assert done.returncode != 0
    message = re.search(rf"\$\{{{missing}:\?([^}}]+)\}}", COMPOSE.read_text())
    assert message
    assert message[1] in done.stderr


def test_no_password_is_in_the_file() -> None:
    """Each is taken from a variable, and a variable for a secret has no default."""
    text = COMPOSE.read_text()
    secrets = re.findall(r"^ +(\w*(?:PASSWORD|SECRET_KEY|TOKEN|ROUTING_KEY)): (.+)$", text, re.MULTILINE)
    assert {name for name, _ in secrets} > {
        "POSTGRES_PASSWORD",
        "JWT_SECRET_KEY",
        "GF_SECURITY_ADMIN_PASSWORD",
    }
    assert [value for _, value in secrets if not re.fullmatch(r"\$\{\w+:(\?[^}]+|-)\}", value)] == []
    assert [url for url in re.findall(r"://\w+:([^@\s]+)@", text) if not url.startswith("${")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_contained(name: str, config: dict[str, Any]) -> None:
    service = config["services"][name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?[\w.-]*", service["image"]), "a pinned tag"
    uid = str(service["user"]).partition(":")[0]
    assert uid.isdigit()
    assert int(uid) > 0
    assert service["mem_limit"]
    assert 0 < float(service["cpus"]) <= 2
    assert service["pids_limit"] > 0
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"].keys() >= {"interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_a_service(name: str, config: dict[str, Any]) -> None:
    ports = config["services"][name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    number = {**DOCUMENTED, "grafana": 3000}[name]
    assert len(ports) == (name != "postgres")
    assert all(port.endswith(f":{number}/tcp") for port in ports)


def test_ports_can_be_chosen() -> None:
    published = [name for name in SERVICES if name != "postgres"]
    chosen = {variable(name): str(41000 + number) for number, name in enumerate(published)}
    config = yaml.safe_load(docker_compose(ALL_SECRETS | chosen).stdout)
    for name in published:
        [port] = config["services"][name]["ports"]
        assert port.startswith(f"127.0.0.1:{chosen[variable(name)]}:")


def test_files_that_are_mounted_are_there_and_read_only(config: dict[str, Any]) -> None:
    mounts = [mount.split(":") for each in config["services"].values() for mount in each.get("volumes", ())]
    files = [(Path(source), mode) for source, _, mode in mounts if source.startswith("/")]
    assert files
    assert [source for source, mode in files if mode != "ro" or not source.exists()] == []
    volumes = {source for source, _, _ in mounts if not source.startswith("/")}
    assert volumes == set(config["volumes"])


def test_grafana_finds_its_data_sources_and_dashboards(config: dict[str, Any]) -> None:
    provisioning = HOUSE / "dashboards" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards.yml").read_text())["providers"]
    mounts = dict(mount.split(":")[1::-1] for mount in config["services"]["grafana"]["volumes"])
    assert mounts[provider["options"]["path"]] == str(HOUSE / "dashboards")
    for source in sources:
        service, _, port = source["url"].removeprefix("http://").partition(":")
        assert (service, int(port)) == (source["uid"], DOCUMENTED[source["uid"]])
    rules = (HOUSE / "alerts" / "grafana" / "rules.yml").read_text()
    asked = set(re.findall(r"datasourceUid: (\S+)", rules)) - {"__expr__"}
    assert asked == {"prometheus"}
    [step] = {source["jsonData"]["timeInterval"] for source in sources if source["uid"] == "prometheus"}
    assert step == yaml.safe_load((HOUSE / "prometheus.yml").read_text())["global"]["scrape_interval"]


def test_the_image_is_this_release(config: dict[str, Any]) -> None:
    version = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["version"]
    for name in ("api", "agent", "inbox"):
        assert config["services"][name]["image"] == f"paciolus-monitor:{version}"
        assert (HOUSE / config["services"][name]["build"]["dockerfile"]).is_file()


def test_the_api_gets_settings_that_production_takes(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = config["services"]["api"]["environment"]
    assert environment.keys() <= {field.upper() for field in Settings.model_fields}
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings.load()
    assert settings.production
    assert settings.url.password == SECRET
    assert settings.web_concurrency == 4
    assert settings.web_concurrency * (settings.db_pool_size + settings.db_max_overflow) < 97
    grace = float(config["services"]["api"]["stop_grace_period"].removesuffix("s").replace("1m0", "60"))
    assert settings.drain + settings.shutdown_seconds + 5 < grace


def test_every_variable_of_start_alertmanager_can_be_given() -> None:
    script = (HOUSE / "alerts" / "start-alertmanager").read_text()
    taken = set(re.findall(r"\btake \w+ ([A-Z]+_[A-Z_]+)", script)) | {"SMTP_REQUIRE_TLS"}
    environment = load_services(COMPOSE, ALL_SECRETS)["alertmanager"].environment
    assert set(environment) == taken | {"RUNTIME_DIRECTORY"}


def test_the_example_has_every_variable_and_the_defaults() -> None:
    lines = (HOUSE / ".env.stack.example").read_text().splitlines()
    written = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    used = dict.fromkeys(SECRETS, "")
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text()):
        used[name] = default
    assert written == used


def test_variables_are_read_as_compose_reads_them() -> None:
    text = "a ${GIVEN} ${GIVEN:-b} ${EMPTY:-c} ${MISSING:-d} ${MISSING:-} ${GIVEN:?why}"
    assert expanded(text, {"GIVEN": "x", "EMPTY": ""}) == "a x x c d  x"
    with pytest.raises(ValueError, match="MISSING: why"):
        expanded("${MISSING:?why}", {})


@pytest.mark.parametrize("name", SERVICES)
def test_our_own_reading_is_that_of_docker_compose(name: str, config: dict[str, Any]) -> None:
    ours, theirs = load_services(COMPOSE, ALL_SECRETS)[name], config["services"][name]
    assert list(ours.command) == [*theirs.get("entrypoint", ()), *theirs.get("command", ())]
    assert ours.environment == theirs.get("environment", {})


def test_paths_move_where_they_are_paths() -> None:
    mounts = {"/prometheus": Path("/here/p"), "/etc/prometheus/alerts": Path("/here/a")}
    elsewhere = "/etc/prometheus/alertsmore http://prometheus/prometheus"
    text = f"--path=/prometheus --file=/etc/prometheus/alerts/x.yml {elsewhere}"
    assert moved(text, mounts) == f"--path=/here/p --file=/here/a/x.yml {elsewhere}"

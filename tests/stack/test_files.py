"""What `make stack` makes of the shipped files: other addresses, other folders, and nothing else."""

from __future__ import annotations

import difflib
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import load_config
from monitor.objectives import load_objectives, shortened
from monitor.quantity import parse_duration
from monitor.render.rules import SHIPPED, Pace, rules_file
from monitor.stack.compose import load_services
from monitor.stack.files import Hurry, HurryError, shipped_files, write_files
from monitor.stack.places import SECRETS, Places, places
from monitor.stack.ports import DOCUMENTED, PortError, choose_ports, relocated, variable
from monitor.stack.programs import COMPOSE, Choices, programs
from tests.servers import free_port, require_program

HOUSE = Path(__file__).parent.parent.parent
PORTS = {name: 41000 + number for number, name in enumerate(DOCUMENTED)}
HERE = re.compile(r"127\.0\.0\.1:410\d\d")
THERE = re.compile(r"(?:api|agent|postgres|prometheus|alertmanager|inbox|0\.0\.0\.0):\d+")


def differences(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Pairs of lines; a line without a partner has an empty one."""
    matcher = difflib.SequenceMatcher(None, theirs.splitlines(), ours.splitlines(), autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            old, new = theirs.splitlines()[a:b], ours.splitlines()[c:d]
            yield from zip(
                old + [""] * (len(new) - len(old)), new + [""] * (len(old) - len(new)), strict=True
            )


def test_nothing_but_addresses_differs(tmp_path: Path) -> None:
    write_files(tmp_path, PORTS)
    changed = set()
    for source in shipped_files():
        name = source.relative_to(HOUSE)
        ours, theirs = (tmp_path / name).read_text(), source.read_text()
        for old, new in differences(ours, theirs):
            assert THERE.sub("", old) == HERE.sub("", new), name
            changed.add(str(name))
    assert {"prometheus.yml", "alerts/monitor.stack.yml", "alerts/alertmanager.yml"} <= changed
    assert (tmp_path / "alerts" / "start-alertmanager").stat().st_mode & 0o100


def test_every_service_keeps_its_port(tmp_path: Path) -> None:
    write_files(tmp_path, PORTS)
    prometheus = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    asked = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert asked == {
        "api": [f"127.0.0.1:{PORTS['api']}"],
        "monitor": [f"127.0.0.1:{PORTS['agent']}"],
        "prometheus": [f"127.0.0.1:{PORTS['prometheus']}"],
        "alertmanager": [f"127.0.0.1:{PORTS['alertmanager']}"],
    }
    agent = yaml.safe_load((tmp_path / "alerts" / "monitor.stack.yml").read_text())
    assert agent["listen"] == f"127.0.0.1:{PORTS['agent']}"
    assert agent["targets"][0]["url"] == f"http://127.0.0.1:{PORTS['api']}"
    assert agent["notify"]["alertmanager"]["url"] == f"http://127.0.0.1:{PORTS['alertmanager']}"


def test_the_agents_file_is_valid_as_it_stands() -> None:
    config = load_config(HOUSE / "alerts" / "monitor.stack.yml", {})
    assert config.database == "sqlite:////var/lib/paciolus-monitor/monitor.db"
    assert config.objectives == HOUSE / "alerts" / "objectives.yml"
    assert config.targets[0].interval == SHIPPED.probe


def test_prometheus_asks_as_often_as_its_rules_expect() -> None:
    config = yaml.safe_load((HOUSE / "prometheus.yml").read_text())
    intervals = {job["job_name"]: job.get("scrape_interval") for job in config["scrape_configs"]}
    assert parse_duration(config["global"]["scrape_interval"]) == SHIPPED.scrape
    assert parse_duration(intervals["monitor"]) == SHIPPED.probe
    assert intervals["api"] is None
    assert "external_labels" not in config["global"]


def test_only_whole_addresses_are_replaced() -> None:
    kept = "my-api:8000 api:80001 api:8001 http://example.com/api:8 0.0.0.0:1234 grafana:3000"
    assert relocated(kept, PORTS) == kept.replace("0.0.0.0", "127.0.0.1")
    assert relocated("http://api:8000/x @postgres:5432/y", PORTS) == (
        f"http://127.0.0.1:{PORTS['api']}/x @127.0.0.1:{PORTS['postgres']}/y"
    )


def bare(word: str) -> str:
    """Without addresses, and without the folders of paths."""
    return re.sub(r"(^|=)/(?:[^/]+/)*", r"\1", HERE.sub("", THERE.sub("", word)))


def test_commands_are_those_of_the_compose_file(tmp_path: Path) -> None:
    require_program("prometheus")
    secrets = dict.fromkeys(SECRETS, "0123456789abcdef" * 4)
    services = load_services(COMPOSE, secrets)
    for name, child in programs(Places(tmp_path), PORTS, secrets, Choices()).items():
        written = services[name].command
        flags = written if written[0].startswith("-") else written[1:]
        assert "\0".join(map(bare, flags)) in "\0".join(map(bare, child._argv)), name
        for key, value in services[name].environment.items():
            if value.startswith("/"):
                assert child._env[key].startswith(f"{tmp_path}/"), key
            else:
                assert bare(child._env[key]) == bare(value), key


@pytest.fixture
def hurried(tmp_path: Path) -> Path:
    write_files(tmp_path, PORTS, Hurry(30, 0.5))
    return tmp_path


def test_in_a_hurry_prometheus_has_the_agents_windows(hurried: Path) -> None:
    objectives = shortened(load_objectives(HOUSE / "alerts" / "objectives.yml"), 30)
    assert (hurried / "alerts" / "rules.yml").read_text() == rules_file(objectives, Pace(0.5, 0.5, 0.5))
    agent = yaml.safe_load((hurried / "alerts" / "monitor.stack.yml").read_text())
    assert (agent["shorten_windows"], agent["targets"][0]["interval"]) == (30, "500ms")


def test_too_much_of_a_hurry_is_refused() -> None:
    """Else a rule finds one scrape now and then where it needs two, and says that there is no data."""
    with pytest.raises(HurryError, match=r"--interval may be 1\.33s at most, or --shorten 10"):
        Hurry(15, 2)


def test_in_a_hurry_the_files_are_still_valid(hurried: Path, promtool: Path, amtool: Path) -> None:
    checks: dict[Path, tuple[str, Any]] = {
        promtool: ("check config", hurried / "prometheus.yml"),
        amtool: ("check-config", hurried / "alerts" / "alertmanager.yml"),
    }
    for program, (words, file) in checks.items():
        ran = subprocess.run(
            [program, *words.split(), file], capture_output=True, text=True, check=False, timeout=30
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    alertmanager = yaml.safe_load((hurried / "alerts" / "alertmanager.yml").read_text())
    routes = [alertmanager["route"], *alertmanager["route"]["routes"]]
    waits = {route[key] for route in routes for key in ("group_wait", "group_interval") if key in route}
    assert waits == {"500ms"}


def test_flags_go_before_variables_and_variables_before_the_documented_port() -> None:
    api, agent = free_port(), free_port()
    free = {variable(name): str(free_port()) for name in DOCUMENTED}
    ports = choose_ports(free | {variable("api"): "1", variable("agent"): str(agent)}, [f"api={api}"])
    assert (ports["api"], ports["agent"]) == (api, agent)


def test_a_taken_port_is_said_with_its_cure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = {variable(name): str(free_port()) for name in DOCUMENTED}
        wanted = taken.getsockname()[1]
        with pytest.raises(PortError) as said:
            choose_ports(free | {"STACK_INBOX_PORT": str(wanted)}, [])
    assert str(said.value) == (
        f"inbox: port {wanted} can't be had (Address already in use); "
        "choose another with STACK_INBOX_PORT=... or --port inbox=..."
    )


@pytest.mark.parametrize("flag", ["web=1", "api", "api=0", "api=65536", "api=x"])
def test_a_wrong_port_is_refused(flag: str) -> None:
    with pytest.raises(PortError, match="expected"):
        choose_ports({}, [flag])


def test_two_services_cannot_share_a_port() -> None:
    port = free_port()
    with pytest.raises(PortError, match=f"agent: port {port} is that of api already"):
        choose_ports({}, [f"api={port}", f"agent={port}"])


def test_a_named_folder_keeps_its_secrets_to_itself(tmp_path: Path) -> None:
    with places(tmp_path / "data") as found:
        first = found.secrets()
    with places(tmp_path / "data") as found:
        assert found.secrets() == first
    assert (tmp_path / "data" / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert all(len(secret) == 64 for secret in first.values())
    with places(None) as found:
        assert found.secrets() != first
    assert not found.data.exists()

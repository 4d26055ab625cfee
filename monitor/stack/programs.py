"""The services as programs of this machine: the commands of the compose file, with our paths and ports."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.children import Child
from monitor.resources import ROOT
from monitor.stack.compose import Service, load_services, moved
from monitor.stack.places import Places
from monitor.stack.ports import LOOPBACK, Ports, relocated

COMPOSE = ROOT / "docker-compose.monitoring.yml"
SERVERS = ("api", "inbox", "alertmanager", "prometheus", "agent")
"""In the order of their start. PostgreSQL has a file of its own; Grafana is in no Debian."""
READY = {
    "api": "/health/ready",
    "inbox": "/-/healthy",
    "alertmanager": "/-/ready",
    "prometheus": "/-/ready",
    "agent": "/-/healthy",
}
OURS = {
    "gunicorn": (sys.executable, "-m", "gunicorn"),
    "paciolus-monitor": (sys.executable, "-m", "monitor"),
}
"""Of the environment that we run in, whether or not its bin is on PATH."""
APP = "app.main:app"


class MissingProgramError(ValueError):
    """The message says which, and how to get it."""


@dataclass(frozen=True)
class Choices:
    """`api_app` takes the place of the shipped one; `flags` are more of Prometheus'."""

    api_app: str = APP
    prometheus_flags: tuple[str, ...] = ()


def programs(
    places: Places, ports: Ports, variables: Mapping[str, str], choices: Choices
) -> dict[str, Child]:
    """By service, not started yet. Raises MissingProgramError."""
    services = load_services(COMPOSE, variables)
    return {name: _program(services[name], places, ports, choices) for name in SERVERS}


def url(service: str, ports: Ports) -> str:
    return f"http://{LOOPBACK}:{ports[service]}"


def _program(service: Service, places: Places, ports: Ports, choices: Choices) -> Child:
    mounts = {inside: places.of_mount(source) for inside, source in service.mounts.items()}

    def here(text: str) -> str:
        return relocated(moved(text, mounts), ports)

    command = [
        *_by_the_image(service.name),
        *map(here, service.command),
        *_more(service.name, ports, choices),
    ]
    environment = {name: here(value) for name, value in service.environment.items()}
    environment |= _listening(service.name, ports) | {"TMPDIR": str(places.temporary)}
    argv = [*_found(command[0]), *(choices.api_app if word == APP else word for word in command[1:])]
    return Child(service.name, argv, environment, places.data)


def _by_the_image(service: str) -> tuple[str, ...]:
    """What its image starts, where the compose file has flags only."""
    return ("prometheus",) if service == "prometheus" else ()


def _more(service: str, ports: Ports, choices: Choices) -> tuple[str, ...]:
    if service not in ("prometheus", "alertmanager"):
        return ()
    flags = choices.prometheus_flags if service == "prometheus" else ()
    return (f"--web.listen-address={LOOPBACK}:{ports[service]}", *flags)


def _listening(service: str, ports: Ports) -> dict[str, str]:
    """Nobody sends requests here whom a pause at the end would spare."""
    if service != "api":
        return {}
    return {"API_HOST": LOOPBACK, "API_PORT": str(ports["api"]), "DRAIN_SECONDS": "0"}


def _found(name: str) -> tuple[str, ...]:
    if name in OURS:
        return OURS[name]
    if program := shutil.which(name, path=os.environ.get("PATH", os.defpath)):
        return (program,)
    raise MissingProgramError(f"there is no {name} on PATH; `make servers` installs it on Debian")

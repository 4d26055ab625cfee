"""A service of docker-compose.monitoring.yml: its command, its environment, and the folders that it sees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?([^}]*))?\}")


class MissingVariableError(ValueError):
    """A variable without which the file starts nothing."""


@dataclass(frozen=True)
class Service:
    """`mounts`: from the path in the container to that in the repository (./...), or the volume's name."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: Mapping[str, str]


def load_services(file: Path, environ: Mapping[str, str]) -> dict[str, Service]:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {name: _service(name, written, environ) for name, written in document["services"].items()}


def _service(name: str, written: dict[str, Any], environ: Mapping[str, str]) -> Service:
    command = (*written.get("entrypoint", ()), *written.get("command", ()))
    environment = written.get("environment", {})
    volumes = (volume.split(":")[:2] for volume in written.get("volumes", ()))
    in_memory = (mount.partition(":")[0] for mount in written.get("tmpfs", ()))
    return Service(
        name,
        tuple(expanded(word, environ) for word in command),
        {key: expanded(str(value), environ) for key, value in environment.items()},
        {inside: source for source, inside in volumes} | {inside: f"memory{inside}" for inside in in_memory},
    )


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """Raises MissingVariableError. `${NAME}`, `${NAME:-default}` and `${NAME:?message}` are understood."""

    def value(match: re.Match[str]) -> str:
        name, default, message = match.groups()
        if message is not None and not environ.get(name):
            raise MissingVariableError(f"{name}: {message}")
        return environ.get(name) or default or ""

    return _VARIABLE.sub(value, text)


def moved(text: str, mounts: Mapping[str, Path]) -> str:
    """Paths inside the container become those of this machine; the longest fitting one wins."""
    if not mounts:
        return text
    inside = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])(?:{inside})(?![\w.-])", lambda found: str(mounts[found[0]]), text)

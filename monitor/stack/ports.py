"""Where the services listen: on 127.0.0.1, at their documented ports or at chosen ones."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Mapping

LOOPBACK = "127.0.0.1"
DOCUMENTED = {
    "api": 8000,
    "agent": 9464,
    "postgres": 5432,
    "prometheus": 9090,
    "alertmanager": 9093,
    "inbox": 9099,
}
"""By the services' names in docker-compose.monitoring.yml."""

_ADDRESSES = re.compile(
    r"(?<![\w.-])(?:" + "|".join(f"{name}:{port}" for name, port in DOCUMENTED.items()) + r")\b"
)
_EVERYWHERE = re.compile(r"\b0\.0\.0\.0:(\d+)\b")

Ports = Mapping[str, int]


class PortError(ValueError):
    """A line for each port that can't be had, with the cure."""


def variable(service: str) -> str:
    return f"STACK_{service.upper()}_PORT"


def choose_ports(environ: Mapping[str, str], flags: Iterable[str]) -> Ports:
    """`flags` like api=8001 go before variables like STACK_API_PORT. Raises PortError."""
    written = {name: environ[variable(name)] for name in DOCUMENTED if environ.get(variable(name))}
    for flag in flags:
        name, _, port = flag.partition("=")
        if name not in DOCUMENTED:
            raise PortError(f"--port {flag}: expected one of {', '.join(DOCUMENTED)}, then = and a port")
        written[name] = port
    ports = {name: _number(name, written.get(name, str(port))) for name, port in DOCUMENTED.items()}
    if wrong := [*_twice(ports), *_taken(ports)]:
        raise PortError("\n".join(wrong))
    return ports


def _number(name: str, written: str) -> int:
    if not written.isascii() or not written.isdigit() or not 0 < int(written) < 65536:
        raise PortError(f"{name}: expected a port from 1 to 65535, got {written!r}")
    return int(written)


def _twice(ports: Ports) -> Iterator[str]:
    owner: dict[int, str] = {}
    for name, port in ports.items():
        if (other := owner.setdefault(port, name)) != name:
            yield f"{name}: port {port} is that of {other} already"


def _taken(ports: Ports) -> Iterator[str]:
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                yield (
                    f"{name}: port {port} can't be had ({error.strerror}); choose another with "
                    f"{variable(name)}=... or --port {name}=..."
                )


def relocated(text: str, ports: Ports) -> str:
    """`api:8000` and `0.0.0.0:9464` become this machine's own addresses."""

    def here(match: re.Match[str]) -> str:
        return f"{LOOPBACK}:{ports[match[0].partition(':')[0]]}"

    def own(match: re.Match[str]) -> str:
        return f"{LOOPBACK}:{by_number.get(int(match[1]), match[1])}"

    by_number = {port: ports[name] for name, port in DOCUMENTED.items()}
    return _EVERYWHERE.sub(own, _ADDRESSES.sub(here, text))

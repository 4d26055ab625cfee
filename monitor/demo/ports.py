"""Ports of the demo: the documented ones, or free ones where somebody else has those."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"
API_PORT, AGENT_PORT, INBOX_PORT = 8000, 9464, 9099

Say = Callable[[str], None]


class Ports:
    """Holds what it gave out until it is closed; each port that can't be had costs a line."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._held = ExitStack()

    def close(self) -> None:
        self._held.close()

    def listening(self, preferred: int, whose: str) -> socket.socket:
        """A socket that listens already."""
        opened = self._bound(preferred, whose)
        opened.listen()
        return opened

    def reserved(self, preferred: int, whose: str) -> int:
        """A port for a child, who opens it itself and later: a killed API must refuse connections.

        Bound here without listening, the kernel gives it to nobody who asks for just any port. Whoever asks
        for this very one could still have it; demos lock it against each other.
        """
        return int(self._bound(preferred, whose).getsockname()[1])

    def _bound(self, preferred: int, whose: str) -> socket.socket:
        try:
            self._lock(preferred)
            return self._bind(preferred)
        except OSError as error:
            other = self._bind(0)
            port = other.getsockname()[1]
            self._say(f"Port {preferred} can't be had ({error.strerror}): the {whose} takes {port} instead")
            return other

    def _lock(self, port: int) -> None:
        """By an abstract name: it lives as long as its socket, and in one network namespace with ports."""
        lock = self._held.enter_context(socket.socket(socket.AF_UNIX))
        lock.bind(f"\0paciolus-monitor-demo-port-{port}")

    def _bind(self, port: int) -> socket.socket:
        bound = self._held.enter_context(socket.socket())
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
        return bound

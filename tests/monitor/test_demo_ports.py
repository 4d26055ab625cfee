"""Ports that a demo holds for its children: nobody listens there yet, and no other demo takes them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from monitor.demo.ports import Ports
from tests.servers import free_port

Demo = Callable[[], tuple[Ports, list[str]]]


@pytest.fixture
def demo() -> Iterator[Demo]:
    """Each call is another demo: its ports, and what it says."""
    with contextlib.ExitStack() as at_end:

        def started() -> tuple[Ports, list[str]]:
            said: list[str] = []
            return at_end.enter_context(contextlib.closing(Ports(said.append))), said

        yield started


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """As a child of the demo opens it."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield server


def accepts(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def test_a_reserved_port_is_for_the_child_alone_before_during_and_after_its_life(demo: Demo) -> None:
    wanted = free_port()
    (first, said), (second, heard) = demo(), demo()
    assert first.reserved(wanted, "API") == wanted
    assert not accepts(wanted)
    other = second.reserved(wanted, "API")
    assert other != wanted
    assert heard == [f"Port {wanted} can't be had (Address already in use): the API takes {other} instead"]
    for port in (wanted, other):
        with listening(port):
            assert accepts(port)
        assert not accepts(port)
        with listening(port):
            assert accepts(port)
    assert said == []


def test_a_port_that_somebody_listens_on_costs_a_line(demo: Demo) -> None:
    wanted = free_port()
    ports, said = demo()
    with listening(wanted):
        other = ports.reserved(wanted, "agent")
        inbox = ports.listening(wanted, "inbox").getsockname()[1]
        assert len({wanted, other, inbox}) == 3
    assert said == [
        f"Port {wanted} can't be had (Address already in use): the {whose} takes {port} instead"
        for whose, port in (("agent", other), ("inbox", inbox))
    ]


def test_a_demo_that_has_ended_keeps_nothing(demo: Demo) -> None:
    wanted = free_port()
    for _ in range(2):
        ports, said = demo()
        assert ports.listening(wanted, "inbox").getsockname()[1] == wanted
        ports.close()
        assert said == []

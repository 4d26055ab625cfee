"""libcurl's transfers on an asyncio loop, with deadlines that are fair to the other side.

libcurl reads its clock when the loop lets it run, and gives up on an overdue transfer before it looks at
what has arrived. A loop that was blocked for a while (the agent's own fault) would turn good answers into
timeouts. So the stalls of the loop are measured, and the deadlines are kept here.
"""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections import deque

import pycurl

_EPOLL_EVENTS = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_BEAT = 0.1
_STALL = 0.05


class Transfer:
    """One request in flight: its last header line (or all of them) and its body so far, and how it ended:
    `ended` resolves to libcurl's code and message. `timeout` is in seconds; time in which the loop was
    blocked is given back, up to as much again. `max_body` is in bytes, after decompression; a body that is
    larger is let go at once."""

    def __init__(self, multi: Multi, timeout: float, max_body: int, keep_header: bool = False) -> None:
        # libcurl takes 300 KB of them at most.
        self.header: deque[bytes] = deque(maxlen=None if keep_header else 1)
        self.body = bytearray()
        self.overflowed = False
        self.ended: asyncio.Future[tuple[int, str]] = multi.loop.create_future()
        self.started = time.monotonic()
        self._multi = multi
        self._timeout = timeout
        self._max_body = max_body
        self._stalls_before = multi.stalls.seconds()
        self._granted = 0.0
        self._deadline = multi.loop.call_later(timeout, self._expire)

    async def run(self, curl: pycurl.Curl) -> tuple[int, str]:
        """The code is E_OPERATION_TIMEDOUT at the deadline. `curl` can be asked for its times until
        `leave`."""
        self._multi.add(curl, self.ended)
        return await self.ended

    def leave(self, curl: pycurl.Curl) -> None:
        self._deadline.cancel()
        self._multi.remove(curl)

    def receive(self, chunk: bytes) -> int:
        self.body += chunk
        if len(self.body) <= self._max_body:
            return len(chunk)
        self.overflowed = True
        self.body.clear()
        return -1

    @property
    def stalled(self) -> float:
        """Seconds for which the loop has been blocked since the start."""
        return self._multi.stalls.seconds() - self._stalls_before

    def _expire(self) -> None:
        lost = min(self.stalled, self._timeout)
        if lost > self._granted:
            self._deadline = self._multi.loop.call_later(lost - self._granted, self._expire)
            self._granted = lost
        elif not self.ended.done():
            self.ended.set_result((pycurl.E_OPERATION_TIMEDOUT, ""))


class Multi:
    """libcurl says which sockets and timers it waits for, asyncio says when they are ready.

    The loop watches one epoll for all sockets: a socket that lives for one probe is dear to register with
    asyncio or uvloop itself (25 of 190 us a probe)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.stalls = Stalls(loop)
        self._running: dict[pycurl.Curl, asyncio.Future[tuple[int, str]]] = {}
        self._watched: set[int] = set()
        self._sockets = select.epoll()
        loop.add_reader(self._sockets.fileno(), self._on_ready)
        self._timer: asyncio.Handle | None = None
        self._closed = False
        self._curl = pycurl.CurlMulti()
        self._curl.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._curl.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def add(self, curl: pycurl.Curl, ended: asyncio.Future[tuple[int, str]]) -> None:
        self._curl.add_handle(curl)
        self._running[curl] = ended

    def remove(self, curl: pycurl.Curl) -> None:
        if self._running.pop(curl, None) is not None:
            self._curl.remove_handle(curl)

    def close(self) -> None:
        """Cancels what is in flight."""
        for curl, ended in list(self._running.items()):
            ended.cancel()
            self.remove(curl)
        self._closed = True
        self.stalls.stop()
        self._on_timer(-1)
        self.loop.remove_reader(self._sockets.fileno())
        self._sockets.close()
        # libcurl waits here for threads that still look up a name: up to 10 s, for nothing.
        cleanup = threading.Thread(target=self._curl.close, daemon=True)
        cleanup.start()
        cleanup.join(timeout=0.2)

    def _on_socket(self, event: int, fd: int, _multi: object, _assigned: object) -> None:
        if self._closed:
            return
        if event == pycurl.POLL_REMOVE:
            if fd in self._watched:
                self._watched.remove(fd)
                self._sockets.unregister(fd)
        elif fd in self._watched:
            self._sockets.modify(fd, _EPOLL_EVENTS[event])
        else:
            self._watched.add(fd)
            self._sockets.register(fd, _EPOLL_EVENTS[event])

    def _on_ready(self) -> None:
        for fd, event in self._sockets.poll(0):
            readable = pycurl.CSELECT_IN if event & ~select.EPOLLOUT else 0
            writable = pycurl.CSELECT_OUT if event & ~select.EPOLLIN else 0
            self._drive(fd, readable | writable)

    def _on_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds < 0 or self._closed:
            return
        # Never at once: libcurl must not be called from within its own callback.
        if milliseconds == 0:
            self._timer = self.loop.call_soon(self._drive, pycurl.SOCKET_TIMEOUT, 0)
        else:
            self._timer = self.loop.call_later(milliseconds / 1000, self._drive, pycurl.SOCKET_TIMEOUT, 0)

    def _drive(self, fd: int, event: int) -> None:
        if self._closed:
            return
        _, running = self._curl.socket_action(fd, event)
        if running == len(self._running):
            return
        _, finished, failed = self._curl.info_read()
        for curl in finished:
            self._end(curl, pycurl.E_OK, "")
        for curl, code, message in failed:
            self._end(curl, code, message)

    def _end(self, curl: pycurl.Curl, code: int, message: str) -> None:
        ended = self._running[curl]
        if not ended.done():
            ended.set_result((code, message))


class Stalls:
    """For how many seconds, all told, the loop did not listen; less than 50 ms at a time is not counted. A
    heartbeat tells by coming late, and counts while it is still overdue."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._total = 0.0
        self._due = float("inf")
        self._beat()

    def seconds(self) -> float:
        late = time.monotonic() - self._due
        return self._total + late if late > _STALL else self._total

    def stop(self) -> None:
        self._timer.cancel()

    def _beat(self) -> None:
        self._total = self.seconds()
        self._due = time.monotonic() + _BEAT
        self._timer = self._loop.call_later(_BEAT, self._beat)

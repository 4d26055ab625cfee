"""A server that behaves badly in a different way on each path, and well under /good."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD_METRICS = b"db_pool_checked_out 1\ndb_pool_size 10\n"
BLOCK = b"x" * 65536


class Hostile:
    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._lock = threading.Lock()
        self.left_to_fail = 0

    def url(self, path: str) -> str:
        return self._base + path

    def fail_next(self, count: int) -> None:
        """So many of the next health checks under /good answer 500."""
        with self._lock:
            self.left_to_fail = count

    def takes_one(self) -> bool:
        with self._lock:
            if not self.left_to_fail:
                return False
            self.left_to_fail -= 1
            return True


class Behaviour(BaseHTTPRequestHandler):
    hostile: Hostile

    def do_GET(self) -> None:
        _, name, *page = self.path.split("/")
        with contextlib.suppress(OSError):
            BEHAVIOURS[name](self, "/".join(page))

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def good(request: Behaviour, page: str) -> None:
    if page == "metrics":
        request.answer(200, GOOD_METRICS, Content_Type="text/plain; version=0.0.4")
    else:
        request.answer(500 if request.hostile.takes_one() else 200, b"ok")


def endless_body(request: Behaviour, page: str) -> None:
    """Says ten gigabytes, and would send them."""
    request.send_response(200)
    request.send_header("Content-Length", str(10 * 10**9))
    request.end_headers()
    for _ in itertools.repeat(None, 10**9 // len(BLOCK)):
        request.wfile.write(BLOCK)


def endless_redirect(request: Behaviour, page: str) -> None:
    request.answer(302, b"", Location=request.path)


def gzip_bomb(request: Behaviour, page: str) -> None:
    """A hundred megabytes in a hundred kilobytes, on the metrics page, which is asked for compressed."""
    if page == "metrics":
        request.answer(200, bomb(), Content_Encoding="gzip")
    else:
        request.answer(200, b"ok")


def garbage(request: Behaviour, page: str) -> None:
    request.answer(200, bytes(range(256)) * 16 if page == "metrics" else b"ok")


def hang(request: Behaviour, page: str) -> None:
    time.sleep(2)


def slow(request: Behaviour, page: str) -> None:
    time.sleep(0.3)
    request.answer(200, b"ok")


def drip(request: Behaviour, page: str) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    for _ in range(20):
        request.wfile.write(b"x")
        time.sleep(0.1)


BEHAVIOURS: dict[str, Callable[[Behaviour, str], None]] = {
    "good": good,
    "endless-body": endless_body,
    "endless-redirect": endless_redirect,
    "gzip-bomb": gzip_bomb,
    "garbage": garbage,
    "hang": hang,
    "drip": drip,
    "slow": slow,
}


@cache
def bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()


@contextlib.contextmanager
def hostile_server() -> Iterator[Hostile]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Behaviour)
    server.daemon_threads = True
    bomb()
    Behaviour.hostile = Hostile(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Behaviour.hostile
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

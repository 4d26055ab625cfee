"""CPU of one HTTP probe over a fresh connection: ours against blackbox_exporter, in one run.

    python -m benchmarks.probe

Both probe the same local server, in turns, ten probes at a time. Ours is counted in this process (user and
system), blackbox_exporter's in its own. Its share includes answering /probe over a kept connection with a
page of metrics: that is how it is used.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import cast

import psutil
import uvloop

from exporters.http import Prober, Request

AIM = 0.3
ROUNDS = 5
PROBES = 600
AT_ONCE = 10
EXPORTER = "prometheus-blackbox-exporter"

MODULE = """\
modules:
  http_2xx:
    prober: http
    timeout: 5s
    http:
      follow_redirects: false
      preferred_ip_protocol: ip4
"""

Probe = Callable[[], Awaitable[None]]


class Ok(asyncio.Protocol):
    """The cheapest answer there is, and a closed connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, _data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        self.transport.close()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Ok, "127.0.0.1", port)
    await server.serve_forever()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


@contextmanager
def running(port: int, *argv: str) -> Iterator[psutil.Process]:
    """The program, from when it listens until the end of the block."""
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, child)
        yield psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


def wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while child.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{child.args!r} does not listen on port {port}")


async def many(probes: list[Probe]) -> None:
    """`PROBES` in all, each of `probes` one after the other."""

    async def repeat(probe: Probe) -> None:
        for _ in range(PROBES // AT_ONCE):
            await probe()

    await asyncio.gather(*map(repeat, probes))


async def our_round(prober: Prober, request: Request) -> float:
    """CPU seconds per probe."""

    async def probe() -> None:
        result = await prober.probe(request)
        if not result.success:
            raise SystemExit(f"our probe failed: {result.detail}")

    before = time.process_time()
    await many([probe] * AT_ONCE)
    return (time.process_time() - before) / PROBES


async def their_round(exporter: psutil.Process, connections: list[Connection]) -> float:
    before = exporter.cpu_times()
    await many([connection.probe for connection in connections])
    after = exporter.cpu_times()
    return (after.user - before.user + after.system - before.system) / PROBES


class Connection:
    """A kept connection to blackbox_exporter."""

    def __init__(self, port: int, target: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        self._path = f"/probe?module=http_2xx&target={target}"

    async def probe(self) -> None:
        page = await asyncio.to_thread(self._get)
        if b"\nprobe_success 1\n" not in page:
            raise SystemExit("a probe by blackbox_exporter failed")

    def _get(self) -> bytes:
        self._connection.request("GET", self._path)
        return self._connection.getresponse().read()

    def close(self) -> None:
        self._connection.close()


async def compare(target: str, exporter: psutil.Process, port: int) -> None:
    connections = [Connection(port, target) for _ in range(AT_ONCE)]
    ours: list[float] = []
    theirs: list[float] = []
    async with Prober() as prober:
        await our_round(prober, Request(target))
        await their_round(exporter, connections)
        for _ in range(ROUNDS):
            ours.append(await our_round(prober, Request(target)))
            theirs.append(await their_round(exporter, connections))
    for connection in connections:
        connection.close()
    report(ours, theirs)


def report(ours: list[float], theirs: list[float]) -> None:
    print(f"CPU per fresh-connection probe, median of {ROUNDS} rounds of {PROBES}:")
    for name, seconds in (("ours (libcurl, uvloop)", ours), (EXPORTER, theirs)):
        low, middle, high = (1e6 * f(seconds) for f in (min, statistics.median, max))
        print(f"  {name:30} {middle:6.0f} us   ({low:.0f}-{high:.0f})")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"  {'ratio':30} {ratio:6.2f}      aim: at most {AIM} {'(met)' if ratio <= AIM else '(MISSED)'}")


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(int(sys.argv[2])))
        return
    exporter = shutil.which(EXPORTER)
    if exporter is None:
        print(f"skipped: {EXPORTER} is not installed (apt-get install {EXPORTER})")
        return
    server_port, port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "blackbox.yml")
        config.write_text(MODULE)
        flags = (f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error")
        with (
            running(server_port, sys.executable, "-m", "benchmarks.probe", "serve", str(server_port)),
            running(port, exporter, *flags) as process,
        ):
            uvloop.run(compare(f"http://127.0.0.1:{server_port}/", process, port))


if __name__ == "__main__":
    main()

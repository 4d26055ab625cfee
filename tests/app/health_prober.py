"""`python -m tests.app.health_prober HOST PORT`: GET /health until stdin ends, then print the p95 in seconds.

A process of its own: among the threads of a test that sends a burst, it would time how long they keep it
waiting.
"""

from __future__ import annotations

import http.client
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 0.01
"""Seconds between an answer and the next request."""


def main() -> None:
    connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=10)
    took = []
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        started = time.monotonic()
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        took.append(time.monotonic() - started)
        if len(took) == 1:
            print("answered", flush=True)
    print(statistics.quantiles(took, n=20)[-1])


@contextmanager
def health_prober(host: str, port: int) -> Iterator[Callable[[], float]]:
    """Probing from now on; call what it yields, once, for the p95 in seconds."""
    command = (sys.executable, "-m", "tests.app.health_prober", host, str(port))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def finish() -> float:
        said, _ = process.communicate(timeout=10)
        return float(said)

    try:
        assert process.stdout
        assert process.stdout.readline() == "answered\n"
        yield finish
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main()

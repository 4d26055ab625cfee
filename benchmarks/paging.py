"""From a killed API to the page at a webhook: ours against Prometheus, blackbox_exporter and Alertmanager.

    python -m benchmarks.paging [ROUNDS]

Both watch the same server every 5 s, side by side. Ours as shipped: an outage shorter than three seconds
never pages, which is tried too. Theirs: scrape and evaluation every 5 s, `for: 10s`, no group wait. A round
kills the server at a random moment, waits for both pages, starts it again and waits for both resolves. It
takes about half a minute. Our agent is a new one each time: the third outage within an hour would be flapping
to it, and that is another message.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.probe import MODULE, free_port, running, wait_for

AIM, ROUNDS = 6.0, 15
INTERVAL = 5
PATIENCE = 90.0
SHORT = (0.3, 2.6)
"""Seconds that an outage lasts that must not page, without the moment that the server takes to be back."""
BLIPS = 8
PROGRAMS = ("prometheus", "prometheus-blackbox-exporter", "prometheus-alertmanager")
OURS, THEIRS = "ours", "Prometheus, blackbox_exporter, Alertmanager"

SERVER = """
import contextlib, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listening:
    while True:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(1)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
"""
AGENT = """\
listen: 127.0.0.1:{port}
targets:
  - name: api
    url: {api}
    interval: {interval}s
    checks:
      health: {{probe: http, path: /health, timeout: 2s}}
notify:
  inbox: {{kind: webhook, url: "{inbox}", severities: [page]}}
"""
PROMETHEUS = """\
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}
rule_files: [down.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: probes
    metrics_path: /probe
    params: {{module: [http_2xx], target: ["{api}/health"]}}
    static_configs: [{{targets: ["127.0.0.1:{blackbox}"]}}]
"""
RULES = """\
groups:
  - name: probes
    rules: [{alert: target-down, expr: probe_success == 0, for: 10s}]
"""
ALERTMANAGER = """\
route: {{receiver: inbox, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: inbox, webhook_configs: [{{url: "{inbox}", send_resolved: true}}]}}]
"""


class Api:
    """The server that is killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        argv = [sys.executable, "-I", "-S", "-c", SERVER, str(self.port)]
        self._process = subprocess.Popen(argv)
        wait_for(self.port, self._process)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class Inbox:
    """When each was told of what, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._told: list[tuple[float, str, str]] = []
        self._news = threading.Condition()

    def take(self, who: str, status: str) -> None:
        with self._news:
            self._told.append((time.monotonic(), who, status))
            self._news.notify_all()

    def count(self, who: str, status: str) -> int:
        return sum((each[1], each[2]) == (who, status) for each in self._told)

    def wait(self, who: str, status: str, since: float) -> float:
        """Seconds from `since` to the first such notice after it."""

        def told() -> list[float]:
            return [at for at, *what in self._told if what == [who, status] and at >= since]

        with self._news:
            if not self._news.wait_for(told, PATIENCE):
                raise SystemExit(f"{who}: no {status!r} within {PATIENCE:g} s")
            return told()[0] - since


@contextmanager
def serving(inbox: Inbox, port: int) -> Iterator[None]:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            inbox.take({"/ours": OURS, "/theirs": THEIRS}[self.path], body["status"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def our_agent(api: str, inbox: str) -> Iterator[None]:
    """Once it has looked at the server."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "monitor.yml")
        config.write_text(AGENT.format(port=port, api=api, interval=INTERVAL, inbox=f"{inbox}/ours"))
        with running(port, sys.executable, "-m", "monitor", "run", "--config", str(config)):
            time.sleep(1.5 * INTERVAL)
            yield


@contextmanager
def their_stack(api: str, inbox: str) -> Iterator[None]:
    """Once each listens."""
    blackbox, prometheus, alertmanager = (free_port() for _ in range(3))
    with tempfile.TemporaryDirectory() as name, ExitStack() as at_end:
        folder = Path(name)
        files = {
            "prometheus.yml": PROMETHEUS.format(
                interval=INTERVAL, api=api, alertmanager=alertmanager, blackbox=blackbox
            ),
            "down.yml": RULES,
            "blackbox.yml": MODULE,
            "alertmanager.yml": ALERTMANAGER.format(inbox=f"{inbox}/theirs"),
        }
        for file, text in files.items():
            (folder / file).write_text(text)
        at_end.enter_context(
            running(
                blackbox,
                *("prometheus-blackbox-exporter", f"--config.file={folder}/blackbox.yml"),
                *(f"--web.listen-address=127.0.0.1:{blackbox}", "--log.level=error"),
            )
        )
        at_end.enter_context(
            running(
                alertmanager,
                *("prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml"),
                *(f"--storage.path={folder}/alerts", f"--web.listen-address=127.0.0.1:{alertmanager}"),
                *("--cluster.listen-address=", "--log.level=error"),
            )
        )
        at_end.enter_context(
            running(
                prometheus,
                *("prometheus", f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{prometheus}"),
                "--log.level=error",
            )
        )
        yield


def outage(api: Api, inbox: Inbox, dice: random.Random) -> dict[str, float]:
    """Seconds from the kill to the page, for each watcher; the next round can begin when it returns."""
    time.sleep(dice.uniform(0, INTERVAL))
    killed = time.monotonic()
    api.kill()
    took = {who: inbox.wait(who, "firing", killed) for who in (OURS, THEIRS)}
    healed = time.monotonic()
    api.start()
    for who in (OURS, THEIRS):
        inbox.wait(who, "resolved", healed)
    return took


def blip(api: Api, dice: random.Random) -> float:
    """Seconds for which nobody listened."""
    time.sleep(dice.uniform(0, INTERVAL))
    killed = time.monotonic()
    api.kill()
    time.sleep(dice.uniform(*SHORT))
    api.start()
    lasted = time.monotonic() - killed
    time.sleep(INTERVAL)
    return lasted


def report(took: list[dict[str, float]]) -> None:
    print(
        f"from SIGKILL to the page at the webhook, median of {len(took)} rounds, probes every {INTERVAL} s:"
    )
    medians = {}
    for who in (OURS, THEIRS):
        seconds = [each[who] for each in took]
        medians[who] = statistics.median(seconds)
        print(f"  {who:45} {medians[who]:5.1f} s   ({min(seconds):.1f}-{max(seconds):.1f})")
    met = "(met)" if medians[OURS] <= AIM else "(MISSED)"
    ratio = medians[OURS] / medians[THEIRS]
    print(f"  {'ratio':45} {ratio:5.2f}     aim: ours at most {AIM:g} s {met}")


def main() -> None:
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        print(f"skipped: not installed: {', '.join(missing)}")
        return
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    dice, api, inbox, port = random.Random(5), Api(), Inbox(), free_port()
    try:
        watched = (api.url, f"http://127.0.0.1:{port}")
        with serving(inbox, port), their_stack(*watched):
            took = []
            for _ in range(rounds):
                with our_agent(*watched):
                    took.append(outage(api, inbox, dice))
            paged = {who: inbox.count(who, "firing") for who in (OURS, THEIRS)}
            with our_agent(*watched):
                lasted = [blip(api, dice) for _ in range(BLIPS)]
    finally:
        api.kill()
    report(took)
    more = {who: inbox.count(who, "firing") - paged[who] for who in paged}
    twice = {who: paged[who] - rounds for who in paged}
    print(
        f"  {BLIPS} outages of {min(lasted):.1f}-{max(lasted):.1f} s: "
        f"pages by ours {more[OURS]}, theirs {more[THEIRS]}"
    )
    print(f"  second pages for one outage: ours {twice[OURS]}, theirs {twice[THEIRS]}")


if __name__ == "__main__":
    main()

"""Trial balances through the API over HTTP, under one uvicorn of its own with SQLite.

    python -m benchmarks.analysis

Printed: p50 and p95 of a 10,000-row upload as CSV and as XLSX; just before each, of a computation that never
changes (where its p95 is far above its p50, somebody else has the machine); /health while such uploads follow
one another without pause; one upload of 1,000,000 rows as each, with the peak memory of the API's process.
Then requests per second with and without instrumentation, from benchmarks.throughput. Takes about 65 s.
"""

from __future__ import annotations

import io
import os
import random
import secrets
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil

from benchmarks import throughput
from benchmarks.probe import free_port, running

UPLOADS = 20
HEALTH_SECONDS = 3.0
MILLION = 1_000_000
AIM_UPLOAD = 150.0
AIM_HEALTH = 20.0
"""Milliseconds at the 95th percentile."""
AIM_MILLION = 10.0
"""Seconds."""
AIM_MEMORY = 500.0
"""Megabytes."""

_WORKSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    "xl/workbook.xml": (
        f'<workbook xmlns="{_WORKSHEET}" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        '<sheets><sheet name="TB" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Target="worksheets/sheet1.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/></Relationships>'
    ),
}


def lines(rows: int) -> Iterator[tuple[str, str, str, str]]:
    """Number, name, debit, credit: pairs that balance, every account another one."""
    chance = random.Random(rows)
    names = ("Cash at bank", "Trade debtors", "Office rent", "Sales", "Trade creditors", "Share capital")
    for pair in range(rows // 2):
        amount = f"{chance.randrange(1, 10**9) / 100:.2f}"
        yield f"{1000 + pair % 900}-{pair}", f"{names[pair % 6]} {pair}", amount, ""
        yield f"{2000 + pair % 7900}-{pair}", f"{names[-pair % 6]} no {pair}", "", amount


def as_csv(rows: int) -> bytes:
    text = "\n".join(map(",".join, lines(rows)))
    return f"Account Number,Account Name,Debit,Credit\n{text}\n".encode()


def as_xlsx(rows: int) -> bytes:
    sheet = io.StringIO()
    sheet.write(f'<worksheet xmlns="{_WORKSHEET}"><sheetData>')
    header = ("Account Number", "Account Name", "Debit", "Credit")
    for row, cells in enumerate([header, *lines(rows)], start=1):
        sheet.write(f'<row r="{row}">')
        for letter, cell in zip("ABCD", cells, strict=True):
            if cell and letter in "CD" and row > 1:
                sheet.write(f'<c r="{letter}{row}"><v>{cell}</v></c>')
            elif cell:
                sheet.write(f'<c r="{letter}{row}" t="inlineStr"><is><t>{cell}</t></is></c>')
        sheet.write("</row>")
    sheet.write("</sheetData></worksheet>")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in (_PARTS | {"xl/worksheets/sheet1.xml": sheet.getvalue()}).items():
            archive.writestr(name, part)
    return content.getvalue()


class Api:
    """A logged-in client, and the server's process."""

    def __init__(self, port: int, server: psutil.Process) -> None:
        self.server = server
        self.port = port
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        account = {"email": "ada@example.com", "password": f"{secrets.token_hex()}aA1!"}
        self.client.post("/auth/register", json=account).raise_for_status()
        token = self.client.post("/auth/login", json=account).raise_for_status().json()["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def upload(self, name: str, content: bytes) -> float:
        """Seconds from the first byte sent to the last byte of the report."""
        started = time.perf_counter()
        answer = self.client.post("/audit/trial-balance", files={"file": (name, content)})
        took = time.perf_counter() - started
        if not answer.is_success or not answer.json()["balanced"]:
            raise SystemExit(f"{name}: {answer.status_code} {answer.text[:200]}")
        return took


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """`work` again and again in a thread, until the end of the block."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def health_during(api: Api, work: Callable[[], object], seconds: float = HEALTH_SECONDS) -> list[float]:
    """Seconds of each GET /health over one connection, 5 ms apart, with the work of others behind it."""
    connection = HTTPConnection("127.0.0.1", api.port, timeout=10)
    took = []
    with meanwhile(work):
        end = time.perf_counter() + seconds
        while (started := time.perf_counter()) < end:
            connection.request("GET", "/health")
            connection.getresponse().read()
            took.append(time.perf_counter() - started)
            time.sleep(0.005)
    connection.close()
    return took


def peak_during(process: psutil.Process, work: Callable[[], float]) -> tuple[float, float]:
    """What `work` returned, and the highest resident memory of the process meanwhile, in megabytes."""
    peak = 0

    def look() -> None:
        nonlocal peak
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.01)

    with meanwhile(look):
        took = work()
    return took, peak / 1e6


def percentile(sample: list[float], share: float) -> float:
    return sorted(sample)[min(int(share * len(sample)), len(sample) - 1)]


def reference() -> float:
    """Seconds of a fixed computation: how much of its p95 is this machine's own unrest."""
    started = time.perf_counter()
    sum(range(2_000_000))
    return time.perf_counter() - started


def say_unrest() -> None:
    took = [1000 * reference() for _ in range(UPLOADS)]
    say("a fixed computation, p95 / p50", percentile(took, 0.95) / statistics.median(took), "times")


def say(what: str, value: float, unit: str, aim: float | None = None) -> None:
    verdict = "" if aim is None else f"   aim: at most {aim:g} {unit} ({'met' if value <= aim else 'MISSED'})"
    print(f"  {what:44} {value:8.1f} {unit}{verdict}", flush=True)


def measure(api: Api) -> None:
    print("10,000 rows over HTTP")
    for name, content in (("tb.csv", as_csv(10_000)), ("tb.xlsx", as_xlsx(10_000))):
        api.upload(name, content)
        say_unrest()
        took = [1000 * api.upload(name, content) for _ in range(UPLOADS)]
        say(f"{name} p50", statistics.median(took), "ms")
        say(f"{name} p95", percentile(took, 0.95), "ms", AIM_UPLOAD)
        health = [1000 * each for each in health_during(api, partial(api.upload, name, content))]
        say(f"/health p95 during such uploads (of {len(health)})", percentile(health, 0.95), "ms", AIM_HEALTH)
        say("/health highest", max(health), "ms")
    print("1,000,000 rows over HTTP")
    for name, make in (("tb.csv", as_csv), ("tb.xlsx", as_xlsx)):
        content = make(MILLION)
        took_million, peak = peak_during(api.server, partial(api.upload, name, content))
        say(f"{name}, one upload", took_million, "s", AIM_MILLION)
        say("peak memory of the process", peak, "MB", AIM_MEMORY)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DATABASE_URL=f"sqlite:///{Path(folder, 'paciolus.db')}", LOG_LEVEL="WARNING")
        port = free_port()
        command = (sys.executable, "-m", "uvicorn", "app.main:app", "--port", str(port))
        with running(port, *command, "--no-access-log", "--log-level", "warning") as server:
            measure(Api(port, server))
    throughput.main()


if __name__ == "__main__":
    main()

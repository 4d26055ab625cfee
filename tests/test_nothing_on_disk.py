"""Zero storage from outside: a violation pages, and the kernel saw no trial balance go to a disk."""

from __future__ import annotations

import io
import itertools
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import httpx
import pytest
import xlsxwriter

from app.trial_balance import LARGEST_UPLOAD
from exporters.zero_storage import KINDS
from tests.api_that_spools import PATH as SPOOLED
from tests.app.conftest import log_in, samples
from tests.conftest import StartProcess
from tests.inbox import Inbox, run_inbox
from tests.running import Agent, Api
from tests.servers import Process, free_port, wait_until

pytestmark = pytest.mark.slow

VIOLATIONS = "zero_storage_violations_total"
QUIET = 3.0
"""Seconds in which nothing more may arrive."""
PAGE, RESOLVE = ("firing", "zero-storage"), ("resolved", "zero-storage")


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


@pytest.fixture
def api(process: StartProcess, tmp_path: Path) -> Api:
    return Api(process, tmp_path, "tests.api_that_spools:create")


@pytest.fixture
def agent(process: StartProcess, tmp_path: Path, inbox: Inbox, api: Api) -> Agent:
    agent = Agent(process, tmp_path, inbox, {"api": api.url})
    is_clean(agent)
    return agent


def is_clean(agent: Agent) -> None:
    wait_until(lambda: agent.verdicts().get("zero-storage") == "OK", 20, "the agent sees a clean API")


def spool(api: Api) -> None:
    answer = httpx.post(api.url + SPOOLED, files={"file": b"x" * 10_000}, timeout=20, trust_env=False)
    assert answer.json() == {"fields": 1}


def test_the_first_violation_pages_once_and_ends_with_the_process(
    api: Api, agent: Agent, inbox: Inbox
) -> None:
    spool(api)
    wait_until(lambda: inbox.holds(*PAGE), 20, "the page")
    page = inbox.notices[0]
    assert (page.severity, page.annotations["threshold"]) == ("page", "above 0")
    assert page.annotations["value"] == "1"
    assert page.annotations["runbook"] == "docs/runbooks/zero-storage.md"
    spool(api)
    time.sleep(QUIET)
    assert inbox.story == [PAGE]
    assert "zero-storage violation: tempfile '/tmp'" in api.process.output
    api.process.stop()
    api.start()
    wait_until(lambda: inbox.holds(*RESOLVE), 20, "the resolve")
    time.sleep(QUIET)
    assert [line for line in inbox.story if line[1] == "zero-storage"] == [PAGE, RESOLVE]


@pytest.mark.nightly
def test_a_violation_while_nobody_watched_pages_once(api: Api, agent: Agent, inbox: Inbox) -> None:
    agent.process.send(signal.SIGKILL)
    agent.process.wait()
    spool(api)
    agent.start()
    wait_until(lambda: inbox.holds(*PAGE), 20, "the page")
    wait_until(agent.written_down, 20, "the agent knows that it arrived")
    agent.process.send(signal.SIGKILL)
    agent.process.wait()
    agent.start()
    time.sleep(QUIET)
    assert inbox.story == [PAGE]


@pytest.mark.nightly
def test_a_restarted_api_pages_nobody(api: Api, agent: Agent, inbox: Inbox) -> None:
    api.process.stop()
    api.start()
    is_clean(agent)
    time.sleep(QUIET)
    assert PAGE not in inbox.story


MARKERS = (b"Xyzzy", b"Plugh", b"73519.46", b"7351946", b"Twisty")
HEAD = ("Account", "Comment", "Debit", "Credit")
COMMENT = "Twisty little passages all alike " * 12
TRACED = (
    "?open,openat,?openat2,?creat,write,pwrite64,writev,pwritev,pwritev2,"
    "sendfile,?sendfile64,copy_file_range,splice,vmsplice,mmap,?mmap2,fallocate"
)


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Without end; every account is on the wrong side, so that it is named in the diagnosis."""
    for number in itertools.count():
        yield f"1000{number:06} Cash Xyzzy", COMMENT, "", "73519.46"
        yield f"4000{number:06} Sales Plugh", COMMENT, "73519.46", ""


def as_csv(size: int) -> bytes:
    """Of about `size` bytes and at most that."""
    lines = map(",".join, itertools.chain([HEAD], rows()))
    longest = len(",".join(next(rows()))) + 2
    return "\n".join(itertools.islice(lines, size // longest // 2 * 2 - 1)).encode()


def as_excel(count: int) -> bytes:
    """Of that many rows, at half a kilobyte each: comments that don't compress."""
    made, noise = io.BytesIO(), Random(1)
    with xlsxwriter.Workbook(made, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet()
        for number, row in enumerate(itertools.chain([HEAD], itertools.islice(rows(), count))):
            sheet.write_row(number, 0, (row[0], noise.randbytes(500).hex(), *row[2:]))
    return made.getvalue()


@pytest.fixture
def traced(strace: Path, process: StartProcess, tmp_path: Path) -> tuple[Process, httpx.Client]:
    """The API under strace, with SQLite, and a client for it."""
    port = free_port()
    server = process(
        *(strace, "-f", "-qq", "-y", "-s", "64", "--seccomp-bpf", "-e", f"trace={TRACED}"),
        *("-o", tmp_path / "trace", sys.executable, "-B", "-m", "uvicorn", "app.main:app", f"--port={port}"),
        env={"DATABASE_URL": f"sqlite:///{tmp_path / 'api.db'}"},
    )
    base = f"http://127.0.0.1:{port}"
    server.wait_for(base + "/health", 60)
    return server, httpx.Client(base_url=base, timeout=100, trust_env=False)


def test_uploads_and_exports_write_no_file(traced: tuple[Process, httpx.Client], tmp_path: Path) -> None:
    server, client = traced
    database = tmp_path / "api.db"
    with client:
        client.headers["Authorization"] = f"Bearer {log_in(client)}"
        for name, content in ("a.csv", as_csv(LARGEST_UPLOAD - 1_000)), ("a.xlsx", as_excel(4_000)):
            answer = client.post("/audit/trial-balance", files={"file": (name, content)})
            assert answer.status_code == 200, answer.text[:500]
            assert answer.json()["balanced"]
            assert b"Xyzzy" in answer.content
        for path in ("/export/pdf", "/export/excel"):
            assert client.post(path, json={"diagnostic": answer.json()}).status_code == 200
        page = samples(client.get("/metrics").text)
        assert [count for name, count in page.items() if name.startswith(VIOLATIONS)] == [0] * len(KINDS)
        assert not markers_in([database, *tmp_path.glob("api.db-*")])
    server.stop(grace=30)
    assert not markers_in([database, *tmp_path.glob("api.db-*"), server.log])
    allowed = {f"{database}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")}
    with (tmp_path / "trace").open(errors="replace") as trace:
        paths = written(trace)
    assert str(database) in paths, "the trace sees what is written"
    assert paths - allowed - {str(server.log), "/dev/null"} == set()


def markers_in(files: Iterable[Path]) -> list[tuple[str, bytes]]:
    read = {file.name: file.read_bytes() for file in files if file.exists()}
    return [(name, marker) for name, content in read.items() for marker in MARKERS if marker in content]


OPENS = re.compile(r'\d+ +(?:open|openat|openat2)\([^"]*"([^"]*)", [^)]*\b(?:O_WRONLY|O_RDWR|O_CREAT)\b')
CREATES = re.compile(r'\d+ +creat\("([^"]*)"')
WRITES = re.compile(r"\d+ +(?:p?writev?2?|pwrite64|sendfile(?:64)?|fallocate)\(\d+<(/[^>]*)>")
MOVES = re.compile(r"\d+ +(?:copy_file_range|splice|vmsplice)\(.*<(/[^>]*)>")
MAPS = re.compile(r"\d+ +mmap2?\(.*PROT_WRITE.*MAP_SHARED.*\d+<(/[^>]*)>")


def written(trace: Iterable[str]) -> set[str]:
    """Paths that were opened for writing, written to, or mapped so that memory becomes file."""
    kinds = (OPENS, CREATES, WRITES, MOVES, MAPS)
    return {found[1] for line in trace for kind in kinds if (found := kind.match(line))}


def test_the_trace_sees_unlinked_files_and_mapped_ones(
    strace: Path, process: StartProcess, tmp_path: Path
) -> None:
    code = f"""
import mmap, pathlib, tempfile
with tempfile.TemporaryFile(dir={str(tmp_path)!r}) as unlinked:
    unlinked.write(b"Xyzzy")
with open({str(tmp_path / "mapped")!r}, "wb+") as file:
    file.truncate(4096)
    mapped = mmap.mmap(file.fileno(), 4096)
"""
    ran = process(
        *(strace, "-f", "-qq", "-y", "--seccomp-bpf", "-e", f"trace={TRACED}", "-o", tmp_path / "trace"),
        *(sys.executable, "-B", "-c", code),
    )
    assert ran.wait() == 0, ran.output
    trace = (tmp_path / "trace").read_text().splitlines()
    assert {str(tmp_path), str(tmp_path / "mapped")} <= written(trace)
    assert any(path.startswith(f"{tmp_path}/#") for path in written(trace))
    assert any(MAPS.match(line) for line in trace if "mapped>" in line)

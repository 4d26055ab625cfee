"""The command as somebody types it: exit status, text at 80 columns, JSON, mistakes, and no secrets."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from typer.testing import CliRunner

from monitor.__main__ import app
from monitor.doctor import as_json, terminal
from monitor.doctor.kinds import KINDS
from monitor.doctor.model import Kind, Report
from tests.conftest import StartProcess
from tests.doctor.conftest import PASSWORD
from tests.doctor.serving import ORIGIN, Api, said, seen_of, token
from tests.hostile import Hostile, hostile_server
from tests.servers import free_port, wait_until

WIDTH = 80
HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with hostile_server() as server:
        yield server


def printed(report: Report, width: int = WIDTH) -> str:
    written = io.StringIO()
    terminal.show(Console(file=written, width=width, color_system=None, highlight=False), report)
    return written.getvalue()


async def test_text_keeps_to_the_width_and_commands_are_whole() -> None:
    api = Api(origins=(f"{ORIGIN}/",), paths={"OPTIONS": lambda _: said(204)})
    report = (await seen_of(api, token=token("x" * 40), origin="https://www.paciolus.com")).report
    text = printed(report)
    whole = {
        line for _, found in report.troubles for step in found.cure for line in step.command.splitlines()
    }
    for line in text.splitlines():
        assert len(line.rstrip()) <= WIDTH or line.strip() in whole, line
    for command in whole:
        assert any(line.strip() == command.strip() for line in text.splitlines()), command


async def test_the_order_is_trouble_then_fine_then_not_looked_at() -> None:
    text = printed((await seen_of(Api(methods="GET"))).report)
    places = [
        text.index(each)
        for each in (" 1  CORS", "saw", "cause", "cure", "\nfine", "\nnot looked at", " TROUBLE ")
    ]
    assert places == sorted(places)
    assert text.rstrip().endswith("(exit status 1)")


async def test_nothing_found() -> None:
    text = printed((await seen_of(Api())).report)
    assert " NOTHING FOUND " in text
    assert "exit status 0" in text


async def test_json_says_all_of_it() -> None:
    report = (await seen_of(Api(origins=(f"{ORIGIN}/",)))).report
    told = json.loads(as_json.as_json(report))
    found = {each["kind"]: each for each in told["looks"]}
    assert told["exit"] == 1
    assert found["cors-slash"]["found"] == "trouble"
    assert found["cors-slash"]["cure"][0]["command"] == f"CORS_ORIGINS={ORIGIN}"
    assert {each["found"] for each in found.values()} == {"trouble", "fine", "not_looked"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_has_a_title_that_fits(kind: Kind) -> None:
    assert len(f" 10  {kind.area}: {kind.title}") <= WIDTH


def test_each_kind_is_tested() -> None:
    tests = "".join(each.read_text() for each in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in KINDS if f'"{name}"' not in tests] == []


def test_each_kind_is_in_the_document() -> None:
    told = re.findall(
        r"^\| `([a-z][a-z-]*)` \| (.*?) \|", (HOUSE / "docs" / "doctor.md").read_text(), re.MULTILINE
    )
    assert told == [(name, kind.title) for name, kind in KINDS.items()]


def run(*arguments: str, **env: str) -> Any:
    nothing = dict.fromkeys(("GATE_TOKEN", "GATE_EMAIL", "GATE_PASSWORD", "DATABASE_URL", "GATE_METRICS"))
    return CliRunner().invoke(app, ["doctor", *arguments], env={**nothing, "COLUMNS": "200", **env})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("api.example.com",), "did you forget http:// or https://?"),
        (("https://u:p@api.example.com",), "without user name and password"),
        (("https://api.example.com", "--origin", "paciolus.com"), "did you forget http:// or https://?"),
        (("https://api.example.com", "--email", "ann@example.com"), "belong together"),
        (
            ("https://api.example.com", "--email", "a@example.com", "--password", "x", "--register"),
            "an account already",
        ),
        (("https://api.example.com", "--metrics", "x"), "--metrics"),
        ((), "Missing argument"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], said: str) -> None:
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert said in " ".join(ran.output.split())


def test_nobody_there_is_exit_status_4(tmp_path: Path) -> None:
    report = tmp_path / "deep" / "doctor.json"
    ran = run(f"http://127.0.0.1:{free_port()}", "--json", str(report))
    assert ran.exit_code == 4
    assert "nothing listens there" in ran.output
    assert json.loads(report.read_text())["reached"] is False


def test_secrets_of_the_environment_are_not_shown(tmp_path: Path) -> None:
    report = tmp_path / "doctor.json"
    secret, text = "correct horse 1 battery", token()
    env = {
        "GATE_EMAIL": "ann@example.com",
        "GATE_PASSWORD": secret,
        "GATE_TOKEN": text,
        "DATABASE_URL": f"postgresql://app:{PASSWORD[:20]}@127.0.0.1:{free_port()}/paciolus",
    }
    ran = run(f"http://127.0.0.1:{free_port()}", "--json", str(report), **env)
    assert "tried-refused" in ran.output
    for hidden in (secret, text, PASSWORD[:20]):
        assert hidden not in ran.output + report.read_text()


def test_ctrl_c_is_a_report_too(process: StartProcess, hostile: Hostile) -> None:
    """While the first answer is waited for."""
    ran = process(sys.executable, "-m", "monitor", "doctor", hostile.url("/hang"), cwd=HOUSE)
    wait_until(lambda: hostile_was_asked(ran.pid), 30)
    time.sleep(0.5)
    ran.send(signal.SIGINT)
    assert ran.wait(20) == 130, ran.output
    assert "INTERRUPTED" in ran.output
    assert "Traceback" not in ran.output


def hostile_was_asked(pid: int) -> bool:
    """Whether the process has a connection by now."""
    return any(each.status == "ESTABLISHED" for each in psutil.Process(pid).net_connections())


@pytest.mark.parametrize("path", ["endless-body", "drip", "garbage", "gzip-bomb", "endless-redirect"])
def test_hostile_servers(hostile: Hostile, path: str) -> None:
    began = time.monotonic()
    ran = run(hostile.url(f"/{path}"))
    assert ran.exit_code in (1, 4), ran.output
    assert "the doctor itself failed" not in ran.output
    assert time.monotonic() - began < 60


async def test_a_gzip_bomb_on_metrics() -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    api = Api(paths={"/metrics": lambda _: said(200, bomb, [("Content-Encoding", "gzip")])})
    assert "larger than" in (await seen_of(api)).not_looked["pool-usage"].why

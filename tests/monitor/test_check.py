"""`paciolus-monitor check URL`, as a person and as a script see it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from monitor.__main__ import app
from tests.hostile import Hostile, hostile_server
from tests.servers import free_port


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    with hostile_server() as server:
        yield server


def check(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["check", *arguments])


def test_a_good_answer_ends_with_0_and_shows_the_phases(server: Hostile) -> None:
    said = check(server.url("/good/health"), "--explain")
    assert said.exit_code == 0
    assert " OK  200 in " in said.output
    for phase in ("dns", "connect", "first_byte", "transfer"):
        assert f"\n{phase} " in said.output
    assert "tls" not in said.output
    assert "too slow is above 200 ms" in said.output


def test_nobody_there_ends_with_1_and_says_why() -> None:
    said = check(f"http://127.0.0.1:{free_port()}/", "--explain")
    assert said.exit_code == 1
    assert " BREACH  no answer" in said.output
    assert "connect: " in said.output
    assert "failures in a row are at least 3" in said.output


def test_a_slow_answer_is_a_warning_and_no_failure(server: Hostile) -> None:
    said = check(server.url("/slow"), "--explain")
    assert said.exit_code == 0
    assert " WARN  200 in 3" in said.output
    assert "One slow answer tells nobody" in said.output


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/hang", "timeout"), ("/endless-body", "too_large"), ("/endless-redirect", "redirect")],
)
def test_scripts_get_the_reason_from_the_closed_list(server: Hostile, path: str, reason: str) -> None:
    said = check(server.url(path), "--json", "--timeout", "0.3")
    assert said.exit_code == 1
    answer = json.loads(said.output)
    assert (answer["verdict"], answer["success"], answer["reason"]) == ("BREACH", False, reason)
    assert sum(answer["phases"].values()) == pytest.approx(answer["duration"])


def test_what_is_no_url_is_said_to_be_none() -> None:
    said = check("nonsense")
    assert said.exit_code == 1
    assert "'nonsense' is no http:// or https:// URL" in said.output

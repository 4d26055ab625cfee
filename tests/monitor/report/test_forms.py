"""The same report for a terminal, Markdown, JSON and a browser; and the command that writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monitor.__main__ import app
from monitor.history import History
from monitor.report import Month
from monitor.yamlfile import ConfigError
from tests.monitor.history.making import entry, probe
from tests.monitor.making import RESOLVED

OCTOBER = Month(2026, 10)
HOSTILE = 'said <script>alert(1)</script> | [click](http://evil) "\n# heading'
CONFIG = """\
database: sqlite:///history.db
targets:
  - name: api
    url: http://127.0.0.1:9
    checks: {health: {probe: http}}
"""
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a day of October: an hour of failures, and an incident."""
    made = tmp_path_factory.mktemp("report")
    (made / "monitor.yml").write_text(CONFIG)
    store = History(f"sqlite:///{made / 'history.db'}")
    store.create()
    times = (OCTOBER.since + 60.0 * minute for minute in range(1440))
    probes = tuple(
        probe(at, "ok" if minute >= 60 else "status", duration=0.184) for minute, at in enumerate(times)
    )
    fired = OCTOBER.since + 120
    down = replace(RESOLVED, since=OCTOBER.since, fired_at=fired, resolved_at=fired + 3480, reason=HOSTILE)
    store.record([entry(fired, probes=probes, changed=(down,))])
    store.close()
    return made


@pytest.fixture
def command(folder: Path) -> Command:
    def run(*arguments: str, month: str = "2026-10", config: Path = folder / "monitor.yml") -> Result:
        return CliRunner().invoke(
            app, ["report", "--config", str(config), "--month", month, *arguments], env={"COLUMNS": "200"}
        )

    return run


def test_the_terminal_says_uptime_budget_and_incident(command: Command) -> None:
    said = command().stdout
    assert "October 2026" in said
    assert "95.8 %" in said
    assert re.search(r"134 % \(1 h of 44 min 38 s\)|134.\d* %", said)
    assert "missed" in said
    assert "60 of 1,440 failed" in said
    assert "Server errors (5xx / all requests)" in said
    assert "30 d (96.8 %)" in said


def test_markdown_holds_what_targets_say_as_plain_text(command: Command) -> None:
    said = command("--md").stdout
    assert said.startswith("# October 2026\n")
    assert r"said \<script\>alert(1)\</script\> \| \[click\](http://evil) " in said
    widths = {line.count(" | ") for line in said.splitlines() if line.startswith("| 2026-10-01 00:00")}
    assert widths == {6}


def test_a_narrow_terminal_cuts_no_name_and_breaks_no_number(folder: Path) -> None:
    arguments = ["report", "--config", str(folder / "monitor.yml"), "--month", "2026-10"]
    said = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"}).stdout.splitlines()
    assert max(map(len, said)) <= 80
    assert "…" not in "".join(said)
    assert any(line.startswith("  Uptime: 95.8 %  Objective: missed  Budget spent: 134 %") for line in said)


def test_json_is_complete_and_versioned(command: Command) -> None:
    said = json.loads(command("--json").stdout)
    assert (said["version"], said["month"], said["complete"]) == (1, "2026-10", True)
    assert (said["since"], said["until"]) == ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
    [service] = said["services"]
    assert service["uptime"] == pytest.approx(1380 / 1440)
    assert service["budget"]["share"] == pytest.approx(3600 / (31 * 86.4))
    assert service["reasons"] == {"status": 60}
    assert service["p95"] == pytest.approx(0.184, rel=0.01)
    assert [incident["seconds_in_month"] for incident in said["incidents"]] == [3600]
    assert len(service["days"]) == 31


class Fetched(HTMLParser):
    """Everything that a browser would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag in ("script", "link", "img", "iframe", "object") or {"src", "href", "onload"} & names.keys():
            self.found.append(tag)


def test_html_needs_nothing_else_and_escapes(command: Command) -> None:
    said = command("--html").stdout
    page = Fetched()
    page.feed(said)
    assert page.found == []
    assert "url(" not in said
    assert "&lt;script&gt;" in said
    assert said.count("<g><title>") == 31
    assert "1 Oct: 60 of 1,440 probes failed, p95 18" in said
    assert "2 Oct: no data" in said
    assert "probes failed on 1 of 1 days with data, 30 without" in said


@pytest.mark.parametrize("month", ["2026-13", "yesterday"])
def test_a_wrong_month_is_an_error_that_says_how_to_write_it(command: Command, month: str) -> None:
    found = command(month=month)
    assert found.exit_code == 2
    assert "expected a month such as 2026-10" in found.output


def test_a_month_that_has_not_begun(command: Command) -> None:
    found = command(month="2999-01")
    assert found.exit_code == 2
    assert "2999-01 has not begun yet" in found.output


def test_two_forms_at_once_are_refused(command: Command) -> None:
    found = command("--md", "--json")
    assert found.exit_code == 2
    assert "choose one of them" in found.output


def test_an_empty_month_is_no_good_month(command: Command) -> None:
    found = command("--html", month="2026-03")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "2026-03: no probe was recorded and nothing fired" in found.stderr


def test_a_database_that_is_not_there_is_not_made(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "monitor.yml"
    config.write_text(CONFIG)
    found = command(config=config)
    assert isinstance(found.exception, ConfigError)
    assert "there is no file" in str(found.exception)
    assert not (tmp_path / "history.db").exists()


def test_a_broken_database_is_an_error_in_one_line(command: Command, tmp_path: Path) -> None:
    config = tmp_path / "monitor.yml"
    config.write_text(CONFIG)
    (tmp_path / "history.db").write_text("this is no database" * 100)
    found = command(config=config)
    assert isinstance(found.exception, ConfigError)
    assert "file is not a database" in str(found.exception)

"""What is typed at 3 a.m., and what comes back, in 80 columns and in the time of the place."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monitor.__main__ import app
from monitor.alerting import Key
from monitor.conversations import Conversation
from monitor.history import Entry, History
from monitor.notify.message import silence_command
from monitor.yamlfile import ConfigError
from tests.monitor.making import FIRING

NOW = datetime(2026, 11, 27, 2, 8, tzinfo=UTC).timestamp()
MONITOR_YML = """\
database: sqlite:///agent.db
targets:
  - {name: api, url: "http://127.0.0.1:8000", checks: {health: {probe: http}}}
  - {name: db, url: "http://127.0.0.1:8001", checks: {health: {probe: http}}}
notify: {on-call: {kind: webhook, url: "${NOT_SET}"}}
maintenance:
  - {reason: weekly upgrade, every: Sunday 02:30, for: 2h, timezone: Europe/Zurich, targets: [db]}
  - {reason: long ago, start: "2026-01-01 00:00Z", for: 1h}
"""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr("monitor.quietcli.time", made)
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    yield made
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def folder(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SUDO_USER", "LOGNAME", "USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ann")
    (tmp_path / "monitor.yml").write_text(MONITOR_YML)
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Iterator[History]:
    """Of an agent that has run here, with an alert that fires."""
    history = History(f"sqlite:///{folder / 'agent.db'}")
    history.create()
    firing = replace(FIRING, since=NOW - 3600, fired_at=NOW - 3500)
    told = Conversation(firing.key, "4f0c", NOW - 3500, firing, told={"on-call": NOW - 3500})
    over = replace(told, key=Key("latency-p95", "api", "metrics"), dedup_key="77aa", ended_at=NOW - 60)
    history.record([Entry(NOW, (), (firing,), (firing,), "api", messages=(), conversations=(told, over))])
    yield history
    history.close()


def run(*arguments: str) -> Result:
    said = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    assert all(len(line) <= 80 for line in said.output.splitlines())
    return said


def lines(*arguments: str) -> list[str]:
    said = run(*arguments)
    assert said.exit_code == 0, said.output
    return said.output.splitlines()


def complaint(*arguments: str) -> str:
    """The words in typer's box."""
    said = run(*arguments)
    assert said.exit_code == 2, said.output
    boxed = [line.strip("│╭╮╰╯─ \n") for line in said.output.splitlines()]
    return " ".join(boxed[boxed.index("Error") + 1 :]).strip()


EXPECTED_A_TIME = "expected a time to come, such as 06:00, tomorrow 06:00, Mon 08:00 or 2026-12-01 22:00"
ADD = ("silence", "add", "--reason", "rolling back")


@pytest.mark.usefixtures("store")
def test_the_command_that_a_page_names_silences_its_alert() -> None:
    program, *words = shlex.split(silence_command(FIRING))
    assert program == "paciolus-monitor"
    assert "      holds back api/error-rate, which fires now" in lines(*words)


@pytest.mark.usefixtures("store")
def test_a_silence_from_the_page_to_the_end(clock: Clock) -> None:
    assert lines(*ADD, "--target", "api", "--name", "error-rate", "--for", "2h") == [
        "   1  target=api name=error-rate",
        "      ends in 2 h (Fri 2026-11-27 05:08 CET)",
        "      ann: rolling back",
        "      holds back api/error-rate, which fires now",
        "      to end it: paciolus-monitor silence expire 1",
    ]
    clock.now += 8 * 60 + 1
    assert lines("silence", "list") == [
        "It is Fri 2026-11-27 03:16 CET.",
        "   1  target=api name=error-rate",
        "      ends in 1 h 52 min (Fri 2026-11-27 05:08 CET)",
        "      ann: rolling back",
    ]
    assert lines("silence", "expire", "1") == ["Silence 1 is over."]
    clock.now += 60
    assert lines("silence", "list")[1:] == ["No silences."]
    assert lines("silence", "list", "--ended")[2] == "      ended 1 min ago (Fri 2026-11-27 03:16 CET)"
    assert complaint("silence", "expire", "1") == (
        "Invalid value for NUMBER: there is no silence 1 that has not ended; `paciolus-monitor silence "
        "list` shows all"
    )


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--until", "06:00"), "ends in 2 h 52 min (Fri 2026-11-27 06:00 CET)"),
        (("--until", "03:00"), "ends in 23 h 52 min (Sat 2026-11-28 03:00 CET)"),
        (("--until", "tomorrow 06:00"), "ends in 1 d 2 h 52 min (Sat 2026-11-28 06:00 CET)"),
        (("--until", "Mon 08:00"), "ends in 3 d 5 h (Mon 2026-11-30 08:00 CET)"),
        (("--until", "2026-11-27 12:00+05:00"), "ends in 4 h 52 min (Fri 2026-11-27 08:00 CET)"),
        (("--start", "04:00", "--for", "30m"), "starts in 52 min (Fri 2026-11-27 04:00 CET), for 30 min"),
        (
            ("--start", "22:00", "--until", "02:00"),
            "starts in 18 h 52 min (Fri 2026-11-27 22:00 CET), for 4 h",
        ),
    ],
)
def test_how_long(asked: tuple[str, ...], said: str) -> None:
    assert lines(*ADD, "--target", "api", *asked)[1].strip() == said


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--target", "apy", "--for", "2h"), "--target: there is no target 'apy'; did you mean 'api'?"),
        (("--for", "2h"), "--target: name a target, an alert or a severity; a target of '*' is all of them"),
        (("--target", "api"), "--for, --until: give one of them, --for 2h or --until 06:00"),
        (
            ("--target", "api", "--for", "2h", "--until", "06:00"),
            "--for, --until: give one of them, --for 2h or --until 06:00",
        ),
        (
            ("--target", "api", "--for", "2 hours"),
            "--for: expected a duration such as 30s, 5m or 30d, got '2 hours'; did you mean '2h'?",
        ),
        (
            ("--target", "api", "--until", "2026-11-27 03:00"),
            "--for, --until: expected a time to come, after it starts",
        ),
        (("--target", "api", "--until", "6 am"), f"--until: {EXPECTED_A_TIME}, got '6 am'"),
        (
            ("--target", "api", "--for", "31d"),
            "--for, --until: expected at most 30 d, got 31 d; renew it then, if need be",
        ),
        (
            ("--severity", "paging", "--for", "2h"),
            "--severity: there is no severity 'paging'; did you mean 'page'?",
        ),
    ],
)
def test_mistakes_name_the_option_and_the_cure(asked: tuple[str, ...], said: str) -> None:
    assert complaint(*ADD, *asked) == f"Invalid value for {said}"


@pytest.mark.usefixtures("store")
def test_root_must_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    said = complaint(*ADD, "--target", "api", "--for", "2h")
    assert said == "Invalid value for --author: nobody is logged in by name; say who you are"
    monkeypatch.setenv("SUDO_USER", "bob")
    assert lines(*ADD, "--target", "api", "--for", "2h")[2] == "      bob: rolling back"
    assert lines(*ADD, "--target", "api", "--for", "2h", "--author", "cy")[2] == "      cy: rolling back"


@pytest.mark.usefixtures("store")
def test_what_fires_is_listed_and_acknowledged() -> None:
    standing = [
        "   *  api/error-rate  page, for 1 h",
        "      Server errors (5xx / all requests): 7.1 % (alert when above 5 %)",
    ]
    assert lines("ack")[1:] == [*standing, "      nobody has acknowledged it"]
    by_ann = [*standing, "      acknowledged by ann: on it"]
    assert lines("ack", "api/error-rate", "--reason", "on it") == by_ann
    assert lines("ack")[1:] == by_ann
    assert lines("ack", "4f0c", "--undo") == [*standing, "      nobody has acknowledged it"]
    assert lines("ack", "api/error-rate", "-r", "on it", "--for", "1h") == by_ann
    assert complaint("ack", "api/error-rate") == (
        "Invalid value for --reason: missing; others must be able to tell"
    )
    assert complaint("ack", "api/latency-p95", "-r", "on it") == (
        "Invalid value for ALERT: there is no alert 'api/latency-p95' that fires; api/error-rate does"
    )


@pytest.mark.usefixtures("store")
def test_a_silenced_alert_says_so_in_the_list() -> None:
    lines(*ADD, "--target", "api", "--for", "2h")
    assert lines("ack")[-1] == "      silenced by ann until Fri 2026-11-27 05:08 CET: rolling back"


@pytest.mark.usefixtures("store")
def test_maintenance() -> None:
    asked = ("maintenance", "add", "--target", "db", "--target", "api", "--reason", "new disks")
    assert lines(*asked, "--start", "Sat 22:00", "--until", "02:00") == [
        "   1  once",
        "      starts in 1 d 18 h 52 min (Sat 2026-11-28 22:00 CET), for 4 h",
        "      targets: db, api",
        "      ann: new disks",
        "      to end it: paciolus-monitor maintenance end 1",
    ]
    assert lines("maintenance", "list") == [
        "It is Fri 2026-11-27 03:08 CET.",
        "   1  once",
        "      starts in 1 d 18 h 52 min (Sat 2026-11-28 22:00 CET), for 4 h",
        "      targets: db, api",
        "      ann: new disks",
        "   -  Sun 02:30 Europe/Zurich for 2 h",
        "      starts in 1 d 23 h 22 min (Sun 2026-11-29 02:30 CET), for 2 h",
        "      targets: db",
        "      monitor.yml: weekly upgrade",
    ]
    assert lines("maintenance", "end", "1") == ["Window 1 is over."]
    assert complaint("maintenance", "end", "1") == (
        "Invalid value for NUMBER: there is no window 1 left; `paciolus-monitor maintenance list` shows all"
    )


@pytest.mark.usefixtures("store")
def test_long_reasons_are_wrapped() -> None:
    run("silence", "add", "--target", "*", "--for", "2h", "--reason", "word " * 90)
    assert len(lines("silence", "list")) > 8


def told(*arguments: str) -> str:
    error = run(*arguments).exception
    assert isinstance(error, ConfigError)
    return str(error)


@pytest.mark.usefixtures("folder")
def test_a_store_that_no_agent_has_made_is_not_made() -> None:
    said = "monitor.yml: database: no agent has used it yet; `paciolus-monitor run` does"
    assert told("silence", "list") == said
    assert not Path("agent.db").exists()
    Path("agent.db").touch()
    assert told("silence", "list") == said
    Path("agent.db").write_text("this is no database, whatever it is called")
    assert told("silence", "list") == "monitor.yml: database: file is not a database"
    Path("monitor.yml").unlink()
    assert told("silence", "list") == "monitor.yml: no such file; name the agent's with --config"


@pytest.mark.usefixtures("folder")
def test_the_store_may_be_postgresql(postgres_url: str) -> None:
    text = MONITOR_YML.replace("sqlite:///agent.db", postgres_url)
    Path("monitor.yml").write_text(text)
    assert (
        told("silence", "list")
        == "monitor.yml: database: no agent has used it yet; `paciolus-monitor run` does"
    )
    history = History(postgres_url)
    history.create()
    history.close()
    lines(*ADD, "--target", "api", "--for", "2h")
    assert lines("silence", "list")[1:3] == [
        "   1  target=api",
        "      ends in 2 h (Fri 2026-11-27 05:08 CET)",
    ]
    Path("monitor.yml").write_text(text.replace(postgres_url, "postgresql://127.0.0.1:9/monitor"))
    # In libpq's words, which are not the same everywhere.
    assert re.match(r"monitor.yml: database: .*refused", told("silence", "list"))


@pytest.mark.usefixtures("store")
def test_a_time_zone_that_nobody_knows_is_not_taken_for_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Zuerich")
    said = complaint(*ADD, "--target", "api", "--until", "06:00")
    assert said == "Invalid value for the environment: TZ=Europe/Zuerich: there is no such time zone"
    for known in ("CET-1CEST,M3.5.0/2,M10.5.0/3", ":Europe/Zurich", "UTC", ""):
        monkeypatch.setenv("TZ", known)
        assert lines("silence", "list")[1:] == ["No silences."]

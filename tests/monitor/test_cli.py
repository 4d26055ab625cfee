from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sentry_sdk
from argon2 import PasswordHasher
from typer.testing import CliRunner, Result

from monitor.__main__ import app, main, start_sentry
from monitor.resources import resource

MONITOR_YML = """\
targets:
  - name: api
    url: http://127.0.0.1:8000
    interval: {interval}
    checks: {{health: {{probe: http, path: /health}}, metrics: {{probe: scrape, path: /metrics}}}}
"""


@pytest.fixture
def monitor_yml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "monitor.yml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_without_files_validate_reads_what_run_would_read(monitor_yml: Path) -> None:
    monitor_yml.write_text(MONITOR_YML.format(interval="30s"))
    said = run("validate")
    assert said.exit_code == 0
    assert said.output.splitlines() == [
        f"{resource('alerts', 'objectives.yml')}: 18 objectives, no mistakes",
        f"{resource('alerts', 'gate.yml')}: 47 checks, 3 profiles, no mistakes",
        "monitor.yml: 1 targets, 0 notifiers, no mistakes",
    ]


def test_objectives_are_known_by_their_content(tmp_path: Path) -> None:
    copy = tmp_path / "ours.yml"
    copy.write_text(resource("alerts", "objectives.yml").read_text())
    assert run("validate", str(copy)).output == f"{copy}: 18 objectives, no mistakes\n"


def test_an_interval_that_no_window_can_hold_twice_is_a_mistake(monitor_yml: Path) -> None:
    monitor_yml.write_text(MONITOR_YML.format(interval="31s"))
    said = run("validate", "monitor.yml")
    assert said.exit_code == 2
    assert said.output == (
        "monitor.yml: targets: api: an interval of 31 s is too long for pool-usage, "
        "whose window of 1 min must hold two\n"
    )


def test_run_without_a_config_says_where_to_start(
    monitor_yml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["paciolus-monitor", "run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    example = resource("alerts", "monitor.example.yml")
    said = f"monitor.yml: no such file; start from {example}, or name yours with --config\n"
    assert capsys.readouterr().err == said


@pytest.fixture
def sentry() -> Iterator[None]:
    yield
    sentry_sdk.init(dsn=None, auto_enabling_integrations=False)


@pytest.mark.usefixtures("sentry")
def test_sentry_is_silent_unless_it_is_told_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    start_sentry()
    assert not sentry_sdk.get_client().is_active()
    monkeypatch.setenv("SENTRY_DSN", "http://key@127.0.0.1:9/1")
    monkeypatch.setenv("ENV_MODE", "production")
    start_sentry()
    options = sentry_sdk.get_client().options
    assert (options["environment"], options["traces_sample_rate"]) == ("production", 0.1)
    assert not options["send_default_pii"]


def test_a_store_that_cannot_be_opened_is_said_in_one_line(
    monitor_yml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (monitor_yml.parent / "agent.db").write_text("this is no database, whatever it is called")
    monitor_yml.write_text(
        MONITOR_YML.format(interval="30s") + "database: sqlite:///agent.db\nlisten: 127.0.0.1:0\n"
    )
    monkeypatch.setattr("sys.argv", ["paciolus-monitor", "run"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == "monitor.yml: database: file is not a database"


def test_a_password_is_hashed_for_the_page() -> None:
    made = CliRunner().invoke(app, ["web", "hash-password"], input="correct horse\n")
    assert made.exit_code == 0
    assert PasswordHasher().verify(made.output.strip(), "correct horse")
    assert CliRunner().invoke(app, ["web", "hash-password"], input="short\n").exit_code == 2

"""`alerts test`: what it sends, what it shows, how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monitor.__main__ import app
from monitor.yamlfile import ConfigError
from tests import alertmanager
from tests.conftest import StartProcess
from tests.inbox import Inbox, run_inbox
from tests.servers import free_port, wait_until

CONFIG = """\
targets:
  - name: api
    url: http://127.0.0.1:9
    checks: {health: {probe: http, path: /health}}
notify:
"""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as running:
        yield running


def run(folder: Path, notify: str, *receiver: str) -> Result:
    path = folder / "monitor.yml"
    path.write_text(CONFIG + notify)
    return CliRunner().invoke(app, ["alerts", "test", "--config", str(path), *receiver])


def test_a_sample_and_its_end_go_the_way_of_a_page(tmp_path: Path, inbox: Inbox) -> None:
    notify = f"  on-call: {{kind: webhook, url: '{inbox.url}', severities: [info, ticket]}}\n"
    notify += "  log: {kind: log}\n"
    said = run(tmp_path, notify)
    assert said.exit_code == 0
    lines = [re.sub(r"\([\d.]+ m?s\)", "(…)", line) for line in said.output.splitlines()]
    assert lines == [
        "on-call (webhook): firing: 204 No Content (…)",
        "on-call (webhook): resolved: 204 No Content (…)",
        "log (log): firing: logged (…)",
        "log (log): resolved: logged (…)",
    ]
    fired, resolved = inbox.notices
    assert inbox.story == [("firing", "test-notification"), ("resolved", "test-notification")]
    assert fired.fingerprint == resolved.fingerprint
    assert fired.severity == "ticket"
    assert fired.annotations["summary"] == "api: TEST, nothing is wrong: 2 (alert when above 1)"
    assert "TEST" in resolved.annotations["summary"]


def test_one_that_fails_is_said_and_the_others_are_tried(tmp_path: Path, inbox: Inbox) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/key-that-is-secret"
    notify = f"  chat: {{kind: slack, url: '{nowhere}'}}\n  on-call: {{kind: webhook, url: '{inbox.url}'}}\n"
    said = run(tmp_path, notify)
    assert said.exit_code == 1
    assert "chat (slack): firing: FAILED: no answer: ConnectError" in said.output
    assert "a page would be tried again" in said.output
    assert "chat (slack): resolved" not in said.output
    assert "secret" not in said.output
    assert len(inbox.notices) == 2


def test_only_who_was_asked_for(tmp_path: Path, inbox: Inbox) -> None:
    notify = f"  on-call: {{kind: webhook, url: '{inbox.url}'}}\n  log: {{kind: log}}\n"
    assert "on-call" not in run(tmp_path, notify, "log").output
    assert inbox.notices == []
    with pytest.raises(ConfigError, match="there is no receiver 'oncall'; did you mean 'on-call'"):
        raise run(tmp_path, notify, "oncall").exception or AssertionError


def test_alertmanager_gets_it_too(tmp_path: Path, process: StartProcess, inbox: Inbox) -> None:
    server = alertmanager.Alertmanager(process, tmp_path, inbox)
    said = run(tmp_path, f"  am: {{kind: alertmanager, url: '{server.url}'}}\n")
    assert said.exit_code == 0, said.output
    wait_until(lambda: inbox.holds("firing", "test-notification"), 10, "the sample")

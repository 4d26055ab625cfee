from __future__ import annotations

import os
import re
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from monitor.config import Config, load_config
from monitor.hours import Hours
from monitor.maintenance import OneOff, Weekly
from monitor.resources import resource
from monitor.yamlfile import MAX_BYTES, ConfigError

MINIMAL = """
targets:
  - {name: api, url: "http://127.0.0.1:8000/", checks: {health: {probe: http}}}
"""


def loaded(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "monitor.yml"
    path.write_text(text, "utf-8")
    return load_config(path, environ)


def complaint(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **environ)
    return str(caught.value).replace(f"{folder}{os.sep}", "")


def test_the_example_that_travels_with_the_package() -> None:
    config = load_config(resource("alerts", "monitor.example.yml"), {})
    (target,) = config.targets
    assert {check.name: check.probe for check in target.checks} == {"health": "http", "metrics": "scrape"}
    assert [check.request.timeout for check in target.checks] == [10.0, 10.0]
    assert [notifier.kind for notifier in config.notify] == ["log"]


def test_everything_has_a_default_but_what_to_watch(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    (target,) = config.targets
    (check,) = target.checks
    assert (target.url, target.interval) == ("http://127.0.0.1:8000", 30.0)
    assert (check.path, check.request.timeout, check.request.expect_status) == ("/", 10.0, ((200, 299),))
    assert (config.listen, config.notify, config.objectives) == ("127.0.0.1:9464", (), None)
    assert config.database == f"sqlite:///{tmp_path / 'paciolus-monitor.db'}"
    assert config.shorten_windows == 1.0


def test_a_check_takes_every_option_of_a_request(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    config = loaded(
        tmp_path,
        """
targets:
  - name: api
    url: https://api.internal:8443/v1
    interval: 1m
    checks:
      sign-up:
        probe: http
        path: /users?dry=1
        timeout: 20s
        method: POST
        headers: {X-Key: "${KEY}", X-Number: 7}
        expect_status: [201, 400-499]
        expect_body: '"id": [0-9]+$'
        max_body: 4096
        max_redirects: 2
        proxy: http://127.0.0.1:3128
        ca_file: ca.pem
""",
        KEY="hunter2",
    )
    (check,) = config.targets[0].checks
    request = check.request
    assert (check.path, request.method, request.timeout) == ("/users?dry=1", "POST", 20.0)
    assert request.headers == (("X-Key", "hunter2"), ("X-Number", "7"))
    assert request.expect_status == ((201, 201), (400, 499))
    assert request.expect_body == re.compile(rb'"id": [0-9]+$')
    assert (request.max_body, request.max_redirects, request.proxy) == (4096, 2, "http://127.0.0.1:3128")
    assert request.ca_file == str(tmp_path / "ca.pem")


def test_a_default_timeout_fits_into_a_short_interval(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL.replace("checks", "interval: 2s, checks"))
    assert config.targets[0].checks[0].request.timeout == 2.0


def test_notifiers(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL
        + """
notify:
  on-call: {kind: webhook, url: "${PAGER}", severities: [page, ticket], timeout: 3s}
  log: {kind: log}
  am: {kind: alertmanager, url: "http://127.0.0.1:9093/", resend: 10s}
""",
        PAGER="http://127.0.0.1:9/hook?key=hunter2",
    )
    on_call, log, am = config.notify
    assert on_call.options.url == "http://127.0.0.1:9/hook?key=hunter2"
    assert (on_call.timeout, on_call.severities) == (3.0, ("page", "ticket"))
    assert log.severities == ("page", "ticket", "info")
    assert am.options.resend == 10.0


def test_secrets_are_not_in_what_a_traceback_or_log_would_show(tmp_path: Path) -> None:
    text = MINIMAL.replace("probe: http", 'probe: http, headers: {Authorization: "${KEY}"}')
    text += "notify: {on-call: {kind: webhook, url: 'https://127.0.0.1/${KEY}'}}\n"
    text += "database: postgresql://agent:${KEY}@127.0.0.1/monitor\n"
    assert "hunter2" not in repr(loaded(tmp_path, text, KEY="hunter2"))


def test_variables(tmp_path: Path) -> None:
    text = MINIMAL.replace("probe: http", "probe: http, path: '/${A:-fallback}/${B:-}/$${C}/$'")
    (check,) = loaded(tmp_path, text).targets[0].checks
    assert check.path == "/fallback//${C}/$"
    (check,) = loaded(tmp_path, text, A="a", B="b").targets[0].checks
    assert check.path == "/a/b/${C}/$"


def test_a_variable_cannot_add_keys(tmp_path: Path) -> None:
    said = complaint(tmp_path, MINIMAL + 'database: "${DB}"\n', DB="sqlite:///a.db\nlisten: 0.0.0.0:1")
    assert said == (
        "monitor.yml:4: database: expected a URL such as "
        "sqlite:///monitor.db or postgresql://user@host/name, got '${DB}'"
    )


def test_a_number_may_come_from_the_environment(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL + 'shorten_windows: "${FACTOR}"\n', FACTOR="60").shorten_windows == 60.0


def test_paths_start_at_the_file_wherever_the_agent_is_started(tmp_path: Path) -> None:
    (tmp_path / "objectives.yml").touch()
    config = loaded(tmp_path, MINIMAL + "database: sqlite:///state/agent.db\nobjectives: objectives.yml\n")
    assert sa.make_url(config.database).database == str(tmp_path / "state" / "agent.db")
    assert config.objectives == tmp_path / "objectives.yml"


@pytest.mark.parametrize(
    ("listen", "host", "port", "read"),
    [
        ("0.0.0.0:0", "0.0.0.0", 0, "0.0.0.0:0"),
        ("localhost:9464", "localhost", 9464, "localhost:9464"),
        ('"[::1]:9464"', "::1", 9464, "[::1]:9464"),
    ],
)
def test_listen(tmp_path: Path, listen: str, host: str, port: int, read: str) -> None:
    config = loaded(tmp_path, MINIMAL + f"listen: {listen}\n")
    assert (config.host, config.port, config.listen) == (host, port, read)


def test_plain_values_hold_no_surprises(tmp_path: Path) -> None:
    text = MINIMAL.replace("name: api", "name: no").replace("health", "off")
    config = loaded(tmp_path, text)
    assert (config.targets[0].name, config.targets[0].checks[0].name) == ("no", "off")


def test_a_byte_order_mark_is_not_seen(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeff" + MINIMAL).targets


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"monitor\.yml: can't be read: No such file or directory$"):
        load_config(tmp_path / "monitor.yml")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    said = complaint(tmp_path, "#" * (MAX_BYTES + 1))
    assert said == "monitor.yml: larger than 1024 KiB; is it the right file?"


def test_ten_thousand_mistakes_are_counted_not_printed(tmp_path: Path) -> None:
    lines = complaint(tmp_path, "targets:\n" + "- k: 1\n" * 2500).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and 9900 more mistakes"


def test_when_a_notifier_wants_to_hear_what(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        MINIMAL
        + """
notify:
  on-call: {kind: log}
  chat:
    kind: log
    hours: {timezone: Europe/Zurich, days: "Mon-Wed, Fri", from: 08:00, to: 18:30}
    remind_every: 4h
    escalate_after: 15m
    escalate_to: boss
  boss: {kind: log, severities: []}
  night: {kind: log, hours: {timezone: UTC, days: [Saturday, sun], from: 22:00, to: 6:00, severities: [page]}}
""",
    )
    on_call, chat, boss, night = config.notify
    assert (on_call.hours, on_call.remind_every, on_call.escalate_to) == (None, None, None)
    assert (chat.remind_every, chat.escalate_after, chat.escalate_to) == (14400.0, 900.0, "boss")
    assert boss.severities == ()
    assert chat.hours == Hours(ZoneInfo("Europe/Zurich"), frozenset({0, 1, 2, 4}), 480, 1110)
    assert night.hours == Hours(ZoneInfo("UTC"), frozenset({5, 6}), 1320, 360, ("page",))


def test_maintenance(tmp_path: Path) -> None:
    text = """
maintenance:
  - {reason: upgrade, every: Sat-Mon 02:00, for: 2h, timezone: Europe/Zurich, targets: ["a*"]}
  - {reason: backup, every: day 4:30, for: 90m, timezone: UTC}
  - {reason: move, start: 2026-12-01 22:00, end: 2026-12-02T02:00, timezone: Europe/Zurich}
  - {reason: soon, start: "2026-12-01 22:00-05:00", for: 30m}
"""
    zurich, utc = ZoneInfo("Europe/Zurich"), ZoneInfo("UTC")
    began = datetime(2026, 12, 1, 21, tzinfo=UTC).timestamp()
    assert loaded(tmp_path, MINIMAL + text).maintenance == (
        Weekly("upgrade", frozenset({5, 6, 0}), time(2), 7200.0, zurich, ("a*",)),
        Weekly("backup", frozenset(range(7)), time(4, 30), 5400.0, utc),
        OneOff("move", began, began + 4 * 3600, zone=zurich),
        OneOff("soon", began + 6 * 3600, began + 6 * 3600 + 1800),
    )


def test_sections_that_nobody_needs_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "monitor.yml"
    path.write_text(MINIMAL + "notify: {on-call: {kind: webhook, url: '${NOT_SET}'}}\n")
    assert load_config(path, {}, without=("notify",)).notify == ()


def test_the_example_is_right_about_what_it_only_mentions(tmp_path: Path) -> None:
    """Maintenance, hours and escalation, with the signs of comment taken off."""
    example = resource("alerts", "monitor.example.yml").read_text("utf-8")
    windows = re.search(r"(?m)^# maintenance:\n(# .*\n)+", example)
    hours = re.search(r"(?m)^  # chat:\n(  #   .*\n)+?(?=  #\n)", example)
    assert windows
    assert hours
    text = (
        MINIMAL.replace("name: api", "name: db")
        + re.sub("(?m)^# ", "", windows[0]).replace(", api-*", "")
        + "notify:\n  on-call: {kind: log}\n"
        + re.sub("(?m)^  # ", "  ", hours[0])
    )
    config = loaded(tmp_path, text, SLACK_WEBHOOK_URL="http://127.0.0.1:9/hook")
    assert len(config.maintenance) == 2
    assert config.notify[1].hours == Hours(ZoneInfo("Europe/Zurich"), frozenset(range(5)), 480, 1080)


def test_a_heartbeat(tmp_path: Path) -> None:
    assert loaded(tmp_path, MINIMAL).heartbeat is None
    text = MINIMAL + "heartbeat: {url: 'https://switch.example/${KEY}'}\n"
    found = loaded(tmp_path, text, KEY="hunter2").heartbeat
    assert found is not None
    assert (found.url, found.every) == ("https://switch.example/hunter2", 60.0)
    assert "hunter2" not in repr(found)
    said = complaint(tmp_path, text.replace("}'}", "}', every: 100ms}"), KEY="hunter2")
    assert said == "monitor.yml:4: heartbeat.every: expected 1 s to 1 h, got 100 ms"

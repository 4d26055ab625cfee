"""alerts/start-alertmanager: which receivers the environment brings, and what is said of bad values."""

from __future__ import annotations

import itertools
import re
import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.alerts.starting import ALERTS, Check, checked
from tests.servers import require_program

RECEIVERS = {
    "slack": {"SLACK_API_URL": "http://127.0.0.1:9/slack"},
    "pagerduty": {"PAGERDUTY_ROUTING_KEY": "k3y"},
    "email": {"SMTP_SMARTHOST": "127.0.0.1:25", "SMTP_FROM": "a@example.com", "SMTP_TO": "b@example.com"},
    "webhook": {"WEBHOOK_URL": "http://127.0.0.1:9/hook"},
    "switch": {"DEAD_MANS_SWITCH_URL": "http://127.0.0.1:9/switch"},
}
COMBINATIONS = [
    frozenset(chosen) for size in range(6) for chosen in itertools.combinations(sorted(RECEIVERS), size)
]
INBOX = "http://inbox:9099/alerts"


@pytest.fixture(params=["sh", "busybox"])
def check(request: pytest.FixtureRequest, tmp_path: Path, amtool: Path) -> Check:
    """With this machine's shell, and with the one of Alertmanager's image and its sed, grep and awk."""
    folder = tmp_path / "run"
    if request.param == "sh":
        return partial(checked, ["sh"], f"{amtool.parent}:/usr/bin:/bin", folder)
    busybox = require_program("busybox")
    (programs := tmp_path / "bin").mkdir()
    for applet in ("awk", "cat", "cd", "dirname", "grep", "mkdir", "mktemp", "rm", "sed"):
        (programs / applet).symlink_to(busybox)
    (programs / "amtool").symlink_to(amtool)
    return partial(checked, [str(busybox), "sh"], str(programs), folder)


def test_the_file_is_valid_as_it_stands(amtool: Path) -> None:
    command = [str(amtool), "check-config", str(ALERTS / "alertmanager.yml")]
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("chosen", COMBINATIONS, ids=lambda chosen: "+".join(sorted(chosen)) or "none")
def test_each_combination_of_receivers(chosen: frozenset[str], check: Check) -> None:
    ran, config = check({key: value for name in chosen for key, value in RECEIVERS[name].items()})
    assert ran.returncode == 0, ran.stderr
    receivers = {each["name"]: each for each in config["receivers"]}
    paging, ticket, info = (receivers[name] for name in ("page", "ticket", "info"))
    webhooks = [INBOX, *(["http://127.0.0.1:9/hook"] if "webhook" in chosen else [])]
    for receiver in (paging, ticket, info):
        assert [each["url"] for each in receiver["webhook_configs"]] == webhooks
        assert all(each["send_resolved"] for each in receiver["webhook_configs"])
    kinds = chosen - {"webhook", "switch"}
    assert {kind for kind in RECEIVERS if f"{kind}_configs" in paging} - {"webhook"} == kinds
    assert {kind for kind in RECEIVERS if f"{kind}_configs" in ticket} - {"webhook"} == kinds - {"pagerduty"}
    assert {kind for kind in RECEIVERS if f"{kind}_configs" in info} - {"webhook"} == kinds & {"slack"}
    assert ("webhook_configs" in receivers["dead-mans-switch"]) == ("switch" in chosen)
    assert config["templates"] == ["templates/*.tmpl"]


def test_empty_is_not_set_as_compose_passes_what_is_missing(check: Check) -> None:
    empty = {key: "" for receiver in RECEIVERS.values() for key in receiver}
    ran, config = check(empty | {"INBOX_URL": "", "GRAFANA_URL": "", "SMTP_PASSWORD_FILE": ""})
    assert ran.stderr.endswith("pages go to inbox\n")
    assert config["receivers"][0]["webhook_configs"] == [{"url": INBOX, "send_resolved": True}]


def test_odd_values_arrive_as_they_are(check: Check, tmp_path: Path) -> None:
    url = "https://example.com/a?b='c'&d=e%7Cf;$g#h[1]"
    password = """p'"w&|\\n ${HOME} $(id) `id`"""
    recipient = """ops'&|"${FOLDER}"@example.com"""
    email = RECEIVERS["email"] | {"SMTP_TO": recipient, "SMTP_USERNAME": "u: #x", "SMTP_PASSWORD": password}
    ran, config = check(
        {"WEBHOOK_URL": url, "INBOX_URL": url, "SLACK_CHANNEL": "#ops", "SLACK_API_URL": url} | email
    )
    assert ran.returncode == 0, ran.stderr
    page, told = config["receivers"][0], config["global"]
    assert [each["url"] for each in page["webhook_configs"]] == [url, url]
    assert page["slack_configs"][0]["channel"] == "#ops"
    assert page["email_configs"][0]["to"] == recipient
    assert told["smtp_auth_username"] == "u: #x"
    assert Path(told["smtp_auth_password_file"]).read_text() == password
    assert Path(told["slack_api_url_file"]).read_text() == url


def test_secrets_are_for_the_owner_only(check: Check, tmp_path: Path) -> None:
    check({"SLACK_API_URL": "http://127.0.0.1/secret", "WEBHOOK_URL": "http://h/", "WEBHOOK_TOKEN": "t0ken"})
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    config = (tmp_path / "run" / "alertmanager.yml").read_text()
    assert "secret" not in config.replace("secrets", "")
    assert "t0ken" not in config


def test_a_secret_may_come_as_a_file(check: Check, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  k3y\r\n\n")
    ran, config = check({"PAGERDUTY_ROUTING_KEY_FILE": str(tmp_path / "key")})
    assert ran.returncode == 0, ran.stderr
    kept = config["receivers"][0]["pagerduty_configs"][0]["routing_key_file"]
    assert Path(kept).read_text() == "k3y"


MISTAKES = [
    ({"SLACK_API_URL": "s3cret.example.com"}, "SLACK_API_URL: must begin with http:// or https://"),
    ({"SLACK_API_URL": "http://"}, "SLACK_API_URL: must begin with http:// or https://"),
    ({"SLACK_API_URL": 'http://s3cret/"'}, "SLACK_API_URL: has a character that no address may have"),
    ({"WEBHOOK_URL": "http://s3cret/a|b"}, "WEBHOOK_URL: has a character that no address may have"),
    ({"WEBHOOK_URL": "http://s3cret/a b"}, "WEBHOOK_URL: has a character that no address may have"),
    ({"INBOX_URL": "none"}, "INBOX_URL: must begin with http:// or https://"),
    ({"GRAFANA_URL": "http://g/{{"}, "GRAFANA_URL: has a character that no address may have"),
    ({"PAGERDUTY_ROUTING_KEY": "s3cret\nsecond"}, "PAGERDUTY_ROUTING_KEY: has a line break or another"),
    (
        {"PAGERDUTY_ROUTING_KEY_FILE": "/nowhere"},
        "PAGERDUTY_ROUTING_KEY_FILE: there is no readable file /nowhere",
    ),
    ({"PAGERDUTY_ROUTING_KEY_FILE": "/dev/null"}, "PAGERDUTY_ROUTING_KEY_FILE: there is no readable file"),
    ({"WEBHOOK_URL_FILE": "/"}, "WEBHOOK_URL_FILE: there is no readable file /"),
    (
        {"SLACK_API_URL": "http://s3cret/", "SLACK_API_URL_FILE": "/x"},
        "SLACK_API_URL and SLACK_API_URL_FILE are both set",
    ),
    ({"SMTP_SMARTHOST": "h:25", "SMTP_TO": "a@b"}, "SMTP_FROM: is needed with SMTP_SMARTHOST"),
    ({"SMTP_SMARTHOST": "h:25", "SMTP_FROM": "a@b"}, "SMTP_TO: is needed with SMTP_SMARTHOST"),
    ({"SMTP_PASSWORD": "s3cret"}, "SMTP_USERNAME: is needed with SMTP_PASSWORD"),
    ({"SMTP_REQUIRE_TLS": "no"}, "SMTP_REQUIRE_TLS: must be true or false"),
    ({"SLACK_CHANNEL": "{{ .x }}"}, "SLACK_CHANNEL: must not have {{ in it"),
    (
        RECEIVERS["email"] | {"SMTP_SMARTHOST": "mail"},
        "Alertmanager would not take it: address mail: missing port",
    ),
]


@pytest.mark.parametrize(
    ("env", "said"), MISTAKES, ids=lambda each: "" if isinstance(each, str) else next(iter(each))
)
def test_a_mistake_is_one_clear_line_that_tells_no_secret(
    env: dict[str, str], said: str, check: Check
) -> None:
    ran, _ = check(env)
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"start-alertmanager: {said}")
    assert "s3cret" not in line


def test_an_empty_secret_file_is_a_mistake(check: Check, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" \n")
    ran, _ = check({"WEBHOOK_TOKEN_FILE": str(tmp_path / "key"), "WEBHOOK_URL": "http://h/"})
    assert ran.stderr == f"start-alertmanager: WEBHOOK_TOKEN_FILE: {tmp_path / 'key'} is empty\n"


def test_it_lists_every_variable_that_it_reads() -> None:
    script = (ALERTS / "start-alertmanager").read_text()
    head, _, body = script.partition("set -eu")
    read = set(re.findall(r"take \w+ ([A-Z]+_[A-Z_]+)", body)) | {"SMTP_REQUIRE_TLS", "RUNTIME_DIRECTORY"}
    assert read == set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", head)) - {"NAME_FILE"}
    config = (ALERTS / "alertmanager.yml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]+)\}", config)) - {"NAME", "FOLDER"} <= read

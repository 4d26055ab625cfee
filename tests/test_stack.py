"""The agent among the servers that people already run: Alertmanager's receivers, Prometheus, a browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from monitor.alerting import Alert
from monitor.demo.sqlite import rename
from monitor.notify.message import webhook_json
from monitor.objectives import load_objectives
from monitor.slis import Rate, Ratio
from tests.conftest import StartServer, process_starter
from tests.inbox import Inbox, run_inbox
from tests.monitor.making import FIRING, RESOLVED
from tests.running import Agent, Api
from tests.servers import run_prometheus, wait_until

HOUSE = Path(__file__).parent.parent
OBJECTIVES = load_objectives(HOUSE / "alerts" / "objectives.yml")
DASHBOARD = json.loads((HOUSE / "dashboards" / "overview.json").read_text())
SHORTENED = 10
PAUSE = 0.2
"""Seconds between two rounds of the traffic."""
ROUGHLY = 0.2
UNKNOWN_SO_SOON = {
    "availability": "a month is judged from 20,000 probes on",
    "availability-burn-1h": "judged from 60 probes on, a minute at one a second",
    "availability-burn-6h": "judged from 360 probes on",
    "availability-burn-1d": "judged from 1,440 probes on",
    "availability-burn-3d": "judged from 4,320 probes on",
}

ALERTMANAGER = """
route: {{receiver: inbox, group_by: [alertname, target], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: inbox, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


def run(*argv: str | Path) -> str:
    """What the program says; AssertionError when it isn't content."""
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def shape(body: Any) -> Any:
    """Keys and types. What a map of labels or annotations holds is a matter of each alert."""
    if isinstance(body, list):
        return [shape(each) for each in body]
    if not isinstance(body, dict):
        return type(body).__name__
    return {
        key: "map" if key.lower().endswith(("labels", "annotations")) else shape(value)
        for key, value in body.items()
    }


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with run_inbox() as inbox:
        yield inbox


def test_what_takes_alertmanagers_webhook_takes_ours(
    alertmanager: StartServer, amtool: Path, inbox: Inbox, tmp_path: Path
) -> None:
    url = alertmanager(ALERTMANAGER.format(url=inbox.url))
    run(amtool, "check-config", tmp_path / "alertmanager.yml")
    add = (amtool, "--alertmanager.url", url, "alert", "add", "alertname=error-rate", "target=api")
    run(*add, "severity=page", "--annotation=summary=made up")
    wait_until(lambda: inbox.holds("firing", "error-rate"), 10, "the alert")
    run(*add, "severity=page", "--annotation=summary=made up", f"--end={datetime.now(UTC).isoformat()}")
    wait_until(lambda: inbox.holds("resolved", "error-rate"), 10, "the resolve")
    for alert in (FIRING, RESOLVED):
        ours, theirs = sent(alert), next(b for b in inbox.bodies if b["status"] == sent(alert)["status"])
        assert shape(ours) == shape(theirs)
        assert ours["version"] == theirs["version"]
        datetime.fromisoformat(ours["alerts"][0]["startsAt"])
    still = next(each for each in inbox.bodies if each["status"] == "firing")
    assert still["alerts"][0]["endsAt"] == sent(FIRING)["alerts"][0]["endsAt"]


def sent(alert: Alert) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(webhook_json(alert, "inbox"))
    return body


class Answer(NamedTuple):
    labels: dict[str, str]
    value: float


class Prometheus:
    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str) -> list[Answer]:
        """An instant query, now. urllib.error.HTTPError when Prometheus refuses it."""
        found = self._get("query", query=query)["result"]
        return [Answer(each["metric"], float(each["value"][1])) for each in found]

    def label_values(self, label: str, selector: str) -> list[str]:
        values: list[str] = self._get(f"label/{label}/values", **{"match[]": selector})
        return values

    def _get(self, what: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{what}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]


class Stack(NamedTuple):
    agent: Agent
    prometheus: Prometheus


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """API, agent and Prometheus, each asking once a second, under steady traffic with steady faults."""
    folder = tmp_path_factory.mktemp("stack")
    with ExitStack() as at_end:
        start = process_starter(at_end, tmp_path_factory)
        api = Api(start, folder)
        inbox = at_end.enter_context(run_inbox())
        agent = Agent(start, folder, inbox, {"api": api.url}, interval="1s", shorten=SHORTENED)
        prometheus = at_end.enter_context(run_prometheus(scraping(api, agent), folder))
        at_end.enter_context(traffic(api))
        yield Stack(agent, Prometheus(prometheus))


def scraping(api: Api, agent: Agent) -> str:
    """The shipped prometheus.yml, once a second, with these ports and without what does not run here."""
    config = yaml.safe_load((HOUSE / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"}
    del config["rule_files"], config["alerting"]
    ports = {"api": api.port, "monitor": agent.port}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in ports]
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{ports[job['job_name']]}"]
    return yaml.safe_dump(config)


@contextlib.contextmanager
def traffic(api: Api) -> Iterator[None]:
    """Each round a wrong password, a refused request, and one that fails for want of its table."""
    account = {"email": "accountant@example.com", "password": "correct horse 1 battery"}
    stop = threading.Event()

    def rounds() -> None:
        while not stop.wait(PAUSE):
            client.post("/auth/login", json=account | {"password": "a guess"})
            client.get("/clients")
            client.get("/clients", headers={"authorization": f"Bearer {token}"})

    with httpx.Client(base_url=api.url, trust_env=False, timeout=10) as client:
        client.post("/auth/register", json=account).raise_for_status()
        token = client.post("/auth/login", json=account).raise_for_status().json()["access_token"]
        asyncio.run(rename(api.database, "clients", "clients_away"))
        thread = threading.Thread(target=rounds)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def filled_in(query: str) -> str:
    return query.replace("$job", ".+").replace("$instance", ".+").replace("$__rate_interval", "10s")


def panels() -> Iterator[tuple[str, str, str]]:
    """Title, query, and which objective it is about, if one."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            objective = re.search(r'objective="([^"]+)"', target["expr"])
            yield panel["title"], filled_in(target["expr"]), objective[1] if objective else ""


PANELS = [pytest.param(query, name, id=title.partition(",")[0]) for title, query, name in panels()]


@pytest.mark.parametrize(("query", "objective"), PANELS)
def test_every_panel_shows_something(query: str, objective: str, stack: Stack) -> None:
    if objective in UNKNOWN_SO_SOON:
        verdict = f'objective_verdict{{objective="{objective}", verdict="UNKNOWN"}} == 1'
        wait_until(lambda: stack.prometheus.ask(verdict), 20, UNKNOWN_SO_SOON[objective])
        assert stack.prometheus.ask(query) == []
        return
    found = wait_until(lambda: stack.prometheus.ask(query), 30, query, every=0.3)
    assert not any(math.isnan(each.value) for each in found)


def test_every_variable_offers_something(stack: Stack) -> None:
    queries = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    for query in queries:
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert asked, query
        wait_until(partial(stack.prometheus.label_values, asked[2], filled_in(asked[1])), 20, query)


def promql(name: str) -> str:
    """What the objective's SLI says, asked of the API's own series."""
    objective = OBJECTIVES.by_name(name)
    window = f"[{objective.window / SHORTENED:.0f}s]"
    match objective.sli:
        case Ratio(bad, total):
            return f"sum(rate({bad}{window})) / sum(rate({total}{window}))"
        case Rate(counter, per):
            return f"{per:g} * sum(rate({counter}{window}))"
        case other:
            raise NotImplementedError(other)


@pytest.mark.parametrize("name", ["error-rate", "failed-logins"])
def test_the_agent_and_prometheus_see_the_same(name: str, stack: Stack) -> None:
    """Roughly: they scrape at different moments. tests/monitor/test_promql.py compares to nine digits."""
    shown = f'objective_value{{objective="{name}"}}'

    def agree() -> bool:
        ours, theirs = (stack.prometheus.ask(query) for query in (shown, promql(name)))
        values = [each.value for each in (*ours, *theirs)]
        return len(values) == 2 and min(values) > 0 and math.isclose(*values, rel_tol=ROUGHLY)

    wait_until(agree, 30, f"{shown} ~ {promql(name)}", every=0.3)


def test_the_shipped_prometheus_config_is_right(promtool: Path) -> None:
    run(promtool, "check", "config", HOUSE / "prometheus.yml")


def test_the_demos_picture_needs_nothing_from_elsewhere(chromium: Path, tmp_path: Path) -> None:
    picture = HOUSE / "docs" / "pictures" / "demo.svg"
    addresses = re.findall(r"https?://[^\s\"'<>)]*", picture.read_text())
    assert {each for each in addresses if not each.startswith("http://www.w3.org/")} == set()
    alone = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    headless = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
    drawn = tmp_path / "demo.png"
    run(
        *(chromium, *headless, *alone, nowhere, f"--user-data-dir={tmp_path / 'profile'}"),
        *("--window-size=1200,800", f"--screenshot={drawn}", picture.as_uri()),
    )
    assert drawn.stat().st_size > 5_000

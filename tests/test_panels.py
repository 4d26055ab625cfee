"""Every query of every dashboard, asked of a real Prometheus that watches the real API and agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import shutil
import ssl
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx
import pytest
import trustme
import yaml

from monitor.demo.sqlite import rename
from monitor.objectives import load_objectives
from monitor.slis import Rate, Ratio
from tests.conftest import process_starter
from tests.dashboards import DASHBOARDS, HOUSE, drawn, filled_in, variables
from tests.inbox import run_inbox
from tests.running import Agent, Api
from tests.servers import run_prometheus, wait_until

pytestmark = pytest.mark.slow

OBJECTIVES = load_objectives(HOUSE / "alerts" / "objectives.yml")
SHORTENED = 10
PAUSE = 0.2
"""Seconds between two rounds of the traffic."""
ROUGHLY = 0.2
TOO_SOON = "judged from more probes on than a test can wait for"
EMPTY = {
    "agent: Last beat of the dead man's switch": "none is set up here",
    "overview: Availability over 30 days": TOO_SOON,
    "overview: Error budget left": TOO_SOON,
    "overview: Error budget burning fast (1 h and 5 min)": TOO_SOON,
    "overview: Error budget burning (6 h and 30 min)": TOO_SOON,
    "overview: Error budget burning slowly (1 d and 2 h)": TOO_SOON,
    "overview: Error budget burning all along (3 d and 6 h)": TOO_SOON,
}
"""Panels that show nothing here, and why; their queries must be understood all the same."""


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
    """The same API and agent, seen by a Prometheus that has the rules and by one that has not."""

    with_rules: Prometheus
    without_rules: Prometheus


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Each asks once a second, under steady traffic with steady faults; one target has a bad certificate."""
    folder, bare = tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("bare")
    (folder / "alerts").mkdir()
    shutil.copy(HOUSE / "alerts" / "rules.yml", folder / "alerts")
    with ExitStack() as at_end:
        at_end.enter_context(pytest.MonkeyPatch.context()).setenv("JWT_SECRET_ROTATED_AT", "2026-01-01")
        start = process_starter(at_end, tmp_path_factory)
        api = Api(start, folder)
        inbox = at_end.enter_context(run_inbox())
        targets = {"api": api.url, "untrusted": at_end.enter_context(untrusted_server())}
        agent = Agent(start, folder, inbox, targets, interval="1s", shorten=SHORTENED)
        with_rules = at_end.enter_context(run_prometheus(scraping(api, agent), folder))
        without = at_end.enter_context(run_prometheus(scraping(api, agent, rules=False), bare))
        at_end.enter_context(traffic(api))
        yield Stack(Prometheus(with_rules), Prometheus(without))


def scraping(api: Api, agent: Agent, *, rules: bool = True) -> str:
    """The shipped prometheus.yml, once a second, with these ports and without what does not run here."""
    config = yaml.safe_load((HOUSE / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"}
    del config["alerting"]
    if not rules:
        del config["rule_files"]
    ports = {"api": api.port, "monitor": agent.port}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in ports]
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{ports[job['job_name']]}"]
    return yaml.safe_dump(config)


@contextlib.contextmanager
def untrusted_server() -> Iterator[str]:
    """Its certificate is from nobody that the agent trusts, so it is down as far as probes can tell."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


def key(dashboard: str, panel: dict[str, Any]) -> str:
    """Titles go on with numbers of objectives.yml or with words of no weight here."""
    return f"{dashboard}: {panel['title'].partition(',')[0]}"


PANELS = {
    key(name, panel) + f" #{panel['id']}": (key(name, panel), panel)
    for name, dashboard in DASHBOARDS.items()
    for panel in drawn(dashboard)
}


def sent(query: str) -> str:
    return filled_in(query, rate_interval="10s", shown="5m")


def shown(prometheus: Prometheus, panel: dict[str, Any]) -> list[Answer]:
    return [answer for target in panel["targets"] for answer in prometheus.ask(sent(target["expr"]))]


@pytest.mark.parametrize(("title", "panel"), PANELS.values(), ids=PANELS)
def test_every_panel_shows_something(title: str, panel: dict[str, Any], stack: Stack) -> None:
    if title in EMPTY:
        shown(stack.with_rules, panel)
        return
    found = wait_until(lambda: shown(stack.with_rules, panel), 60, title, every=0.3)
    assert not any(math.isnan(each.value) for each in found)


def test_only_panels_that_there_are_may_be_empty() -> None:
    assert set(EMPTY) <= {title for title, _ in PANELS.values()}


OVERVIEW = {name: entry for name, entry in PANELS.items() if name.startswith("overview")}


@pytest.mark.parametrize(("title", "panel"), OVERVIEW.values(), ids=OVERVIEW)
def test_the_overview_is_as_full_with_the_agent_alone(
    title: str, panel: dict[str, Any], stack: Stack
) -> None:
    if title in EMPTY:
        shown(stack.without_rules, panel)
        return
    found = wait_until(lambda: shown(stack.without_rules, panel), 60, title, every=0.3)
    assert not any(math.isnan(each.value) for each in found)


@pytest.mark.parametrize("evaluator", ["Prometheus", "agent"])
def test_what_fires_is_named_with_who_saw_it(evaluator: str, stack: Stack) -> None:
    """The target without a good certificate is down, to both; where there are rules, it is theirs to say."""
    prometheus = stack.with_rules if evaluator == "Prometheus" else stack.without_rules
    firing = next(panel for title, panel in OVERVIEW.values() if title.endswith("Firing now"))

    def named() -> bool:
        seen = [each.labels for each in shown(prometheus, firing)]
        wanted = {
            "alertname": "target-down",
            "target": "untrusted",
            "check": "health",
            "evaluator": evaluator,
        }
        return wanted in seen

    wait_until(named, 60, evaluator, every=0.3)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_marker_and_variable_is_understood(name: str, stack: Stack) -> None:
    for marker in DASHBOARDS[name]["annotations"]["list"]:
        stack.with_rules.ask(sent(marker["expr"]))
    for _, selector, label in variables(DASHBOARDS[name]):
        offered = partial(stack.with_rules.label_values, label, sent(selector))
        wait_until(offered, 20, f"{label} of {selector}")


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
    by_agent = f'objective_value{{objective="{name}", target="api"}}'

    def agree() -> bool:
        ours, theirs = (stack.with_rules.ask(query) for query in (by_agent, promql(name)))
        values = [each.value for each in (*ours, *theirs)]
        return len(values) == 2 and min(values) > 0 and math.isclose(*values, rel_tol=ROUGHLY)

    wait_until(agree, 30, f"{by_agent} ~ {promql(name)}", every=0.3)

"""Each of the five documented things is broken in the running stack: one page; healed: one resolve."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.servers import wait_until
from tests.stack.faults import FAULTS, THINK, USERS, token, users
from tests.stack.running import HURRY, RunningStack, family, gone, run_stack

HOUSE = Path(__file__).parent.parent.parent
APP = "--api-app=tests.stack.api_with_ballast:create()"
ROUNDS = (("latency-p95", "failed-logins"), ("error-rate", "memory-usage"), ("pool-usage",))
"""Faults that have nothing to do with each other share a round, to save time."""
PAGED_WITHIN = 90
RESOLVED_WITHIN = 90
QUIET_WITHIN = 90
GONE_WITHIN = 60
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Busy:
    """The stack, and users whose requests go on all the time."""

    def __init__(self, stack: RunningStack, bearer: str) -> None:
        self.stack, self.bearer = stack, bearer


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    with run_stack(tmp_path_factory.mktemp("stack"), *HURRY, APP) as stack:
        bearer = token(stack)
        with users(stack, bearer, USERS, THINK):
            begin = time.monotonic()
            while (why := unwell(stack)) and time.monotonic() < begin + QUIET_WITHIN:
                time.sleep(0.5)
            assert why == []
            yield Busy(stack, bearer)


def unwell(stack: RunningStack) -> list[str]:
    """What keeps the story from beginning."""
    judged = {each["metric"]["objective"] for each in stack.query("objective:judged")}
    verdicts = {each["name"]: each["verdict"] for each in stack.get("agent", "/api/v1/status")["objectives"]}
    return [
        *(f"Prometheus does not judge {name}" for name in FAULTS if name not in judged),
        *(f"{name} is {verdicts.get(name)}" for name in FAULTS if verdicts.get(name) != "OK"),
        *(f"{name} fires" for name in firing(stack)),
    ]


def firing(stack: RunningStack) -> set[str]:
    """Pages and tickets, as Alertmanager has them."""
    alerts = stack.get("alertmanager", "/api/v2/alerts")
    return {
        each["labels"]["alertname"] for each in alerts if each["labels"].get("severity") in ("page", "ticket")
    }


def quiet(stack: RunningStack) -> None:
    """Nothing fires any more."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not firing(stack), QUIET_WITHIN, every=0.5)
    assert firing(stack) == set()


def by_prometheus(stack: RunningStack, name: str) -> bool:
    return bool(stack.query(f'ALERTS{{alertname="{name}", alertstate="firing"}}'))


def by_agent(stack: RunningStack, name: str) -> bool:
    alerts = stack.get("agent", "/api/v1/status")["alerts"]
    return any(alert["name"] == name and alert["state"] == "firing" for alert in alerts)


def groups(stack: RunningStack, name: str) -> list[dict[str, str]]:
    """The labels of Alertmanager's groups that page about the alert."""
    found = stack.get("alertmanager", "/api/v2/alerts/groups?receiver=page")
    return [each["labels"] for each in found if each["labels"].get("alertname") == name]


def resolved(stack: RunningStack, since: int, name: str) -> bool:
    over = not by_agent(stack, name) and not by_prometheus(stack, name)
    return over and "resolved" in told(stack, since, name)


def told(stack: RunningStack, since: int, name: str) -> list[str]:
    """What the inbox was told about the alert after its first `since` notifications, in order."""
    return [
        notice["status"]
        for notices in stack.notifications()[since:]
        for notice in notices
        if notice["alert"] == name
    ]


@pytest.mark.parametrize("names", ROUNDS, ids=" and ".join)
def test_one_fault_is_one_page_and_one_resolve(names: tuple[str, ...], busy: Busy) -> None:
    stack = busy.stack
    quiet(stack)
    before = len(stack.notifications())
    with ExitStack() as broken:
        for name in names:
            broken.enter_context(FAULTS[name](stack, busy.bearer))
        began = time.monotonic()
        for name in names:
            for sees in (by_prometheus, by_agent):
                wait_until(partial(sees, stack, name), PAGED_WITHIN, f"{sees.__name__} {name}", every=0.3)
            wait_until(partial(told, stack, before, name), PAGED_WITHIN, "the page", every=0.3)
            assert groups(stack, name) == [{"alertname": name, "target": "api"}]
            print(f"{name}: paged, and seen by both, {time.monotonic() - began:.0f} s after the break")
    began = time.monotonic()
    for name in names:
        wait_until(partial(resolved, stack, before, name), RESOLVED_WITHIN, f"{name} resolved", every=0.3)
        print(f"{name}: resolved {time.monotonic() - began:.0f} s after the healing")
    quiet(stack)

    notices = [notice for notices in stack.notifications()[before:] for notice in notices]
    assert {notice["alert"] for notice in notices if notice["severity"] == "page"} == set(names)
    for name in names:
        assert told(stack, before, name) == ["firing", "resolved"]
        check_page(next(notice for notice in notices if notice["alert"] == name))


def check_page(page: dict[str, str]) -> None:
    assert (page["target"], page["check"], page["severity"]) == ("api", "metrics", "page")
    assert page["runbook"] == f"docs/runbooks/{page['alert']}.md"
    assert (HOUSE / page["runbook"]).is_file()
    assert page["summary"].startswith("api: ")
    assert page["dashboard"].startswith("d/paciolus-overview?viewPanel=")


def test_killed_it_leaves_no_process_behind(busy: Busy) -> None:
    """The last of this stack: it is not started once more for that."""
    stack = busy.stack
    started = family(stack)
    stack.process.popen.kill()
    try:
        wait_until(lambda: gone(started), GONE_WITHIN, "all have ended")
    finally:
        shutil.rmtree(stack.data, ignore_errors=True)

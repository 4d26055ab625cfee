"""More of what somebody may look at in the night: dependants, quiet, flapping, the agent's own troubles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monitor.alerting import OWN, UNSENT, Alert, Key, State
from monitor.conversations import Conversation
from monitor.selfwatch import REFUSING
from tests.monitor.making import target
from tests.web.scenes import NOW, World, alert, healthy, measured, world

WITHHELD = "explained by db"


def telling(made: World, alerts: Mapping[Alert, dict[str, Any]]) -> None:
    """Alerts, each with what is different in its conversation."""
    conversations = [replace(_conversation(each), **changes) for each, changes in alerts.items()]
    made.page.cycle.alerting.restore(alerts)
    made.page.cycle.dispatch.restore(conversations, alerts, made.now)


def _conversation(about: Alert) -> Conversation:
    key, fired_at = about.key, about.fired_at or about.since
    return Conversation(key, f"{key.target}-{key.name}", fired_at, about, told={"pager": fired_at})


def family(folder: Path) -> World:
    """A database is down; two services that use it fail for its sake, a third has its own fault."""
    database, *services = (target(name) for name in ("db", "billing", "orders", "search"))
    made = world(folder, [database, *(replace(each, depends_on=("db",)) for each in services)])
    refused = "connect: Connection refused"
    measured(made, "db", {"target-down": 9}, failing=refused)
    for name in ("billing", "orders"):
        measured(made, name, {"error-rate": 0.42})
    measured(made, "search")
    child: dict[str, Any] = {"told": {}, "withheld": WITHHELD, "explained_by": "db"}
    telling(
        made,
        {
            alert("target-down", "db", "9", ago=180, why=refused): {},
            alert("error-rate", "billing", "42 %", ago=160): child,
            alert("error-rate", "orders", "42 %", ago=150): child,
        },
    )
    return made


def flapping(folder: Path) -> World:
    """One alert flaps and somebody looks after it; another is silent for maintenance."""
    made = world(folder, map(target, ("api", "batch")))
    measured(made, "api", {"latency-p95": 4.31})
    measured(made, "batch", {"error-rate": 0.31})
    slow = alert("latency-p95", "api", "4.31 s", ago=900, why="904 requests in the last 5 min")
    failing = alert("error-rate", "batch", "31 %", ago=420)
    quiet = {"told": {}, "withheld": "maintenance until 05:00 UTC: the monthly closing"}
    telling(made, {slow: {"flapping_since": NOW - 1500.0}, failing: quiet})
    made.quiet.acknowledge(
        "api-latency-p95", author="ann", reason="rolling back to 2.8.0, back in 10 minutes", now=NOW - 300
    )
    made.quiet.add_maintenance(
        author="bob",
        reason="the monthly closing",
        start=NOW - 300,
        end=NOW + 6900,
        now=NOW,
        targets=["batch"],
    )
    return made


def in_trouble(folder: Path) -> World:
    """All targets are good, but the agent's database refuses and the pager takes nothing."""
    made = healthy(folder)
    refusing = Alert(
        key=Key(REFUSING, OWN, "store"),
        state=State.FIRING,
        since=NOW - 300,
        last_broken=NOW - 4,
        severity="ticket",
        title="The agent's database takes nothing",
        value="30 cycles wait in memory",
        threshold="it refuses for 1 min",
        reason="database is locked",
        runbook=f"docs/runbooks/{REFUSING}.md",
        fired_at=NOW - 240,
    )
    unsent = replace(
        refusing,
        key=Key(UNSENT, OWN, "pager"),
        severity="page",
        title="Messages do not get through to pager",
        value="2 not delivered",
        threshold="one is refused for good, or waits for 5 min",
        reason="403 Forbidden: Invalid routing key",
        runbook=f"docs/runbooks/{UNSENT}.md",
    )
    telling(made, {unsent: {"told": {"mail": NOW - 240}}, refusing: {}})
    made.page.working.noted = lambda: (
        "monitor.yml was changed at 03:01:10 UTC, not in force: targets[2].interval: expected a duration",
    )
    return made


TROUBLES = {"family": family, "flapping": flapping, "in-trouble": in_trouble}

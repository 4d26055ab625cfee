"""`paciolus-monitor alerts test`: a sample to each receiver, the way that a page goes, and what came back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from monitor.alerting import LOUDNESS, Alert, Key, State
from monitor.config import Config, NotifierConfig
from monitor.conversations import Kind
from monitor.links import Links
from monitor.notify import NOTIFIERS, Notifier
from monitor.notify.delivery import DeliveryError
from monitor.notify.facts import Facts
from monitor.notify.message import dedup_key, page_json
from monitor.notify.outbox import SEND_DEADLINE

NAME = "test-notification"
RUNBOOK = "docs/runbooks/notifications-failing.md"


class Tried(NamedTuple):
    """`said`: what the receiver answered, or why it has not got the message; `took` in seconds."""

    receiver: NotifierConfig
    kind: Kind
    delivered: bool
    said: str
    took: float


async def try_all(config: Config, receivers: Iterable[NotifierConfig], now: float) -> list[Tried]:
    """All at once; `now` in seconds since the epoch."""
    links = replace(config.links, page=config.web.url or "")
    trials = (_try(each, config.targets[0].name, links, now) for each in receivers)
    return [tried for outcome in await asyncio.gather(*trials) for tried in outcome]


async def _try(receiver: NotifierConfig, target: str, links: Links, now: float) -> list[Tried]:
    """A sample that fires, and its end: nothing is left open."""
    notifier, tried = NOTIFIERS[receiver.kind](receiver), list[Tried]()
    loudest = max(receiver.severities, key=LOUDNESS.index, default="page")
    fired, facts = sample(target, loudest, now), _facts(links, now)
    resolved = replace(fired, state=State.RESOLVED, resolved_at=now, value="0")
    try:
        for kind, alert in ((Kind.FIRING, fired), (Kind.RESOLVED, resolved)):
            body = page_json(receiver.name, kind, alert, dedup_key(fired), facts)
            tried.append(await _send(notifier, receiver, kind, body, dedup_key(fired)))
            if not tried[-1].delivered:
                break
    finally:
        await notifier.close()
    return tried


async def _send(notifier: Notifier, receiver: NotifierConfig, kind: Kind, body: str, key: str) -> Tried:
    began = time.monotonic()
    try:
        async with asyncio.timeout(SEND_DEADLINE):
            said, delivered = await notifier.send(body, key) or "delivered", True
    except DeliveryError as error:
        cure = "another try won't help" if error.permanent else "a page would be tried again"
        said, delivered = f"{error}; {cure}", False
    except TimeoutError:
        said, delivered = f"not delivered within {SEND_DEADLINE:g} s; a page would be tried again", False
    return Tried(receiver, kind, delivered, said, time.monotonic() - began)


def sample(target: str, severity: str, now: float) -> Alert:
    """Filled in as a page would be, and no fault of anything."""
    return Alert(
        key=Key(NAME, target, "test"),
        state=State.FIRING,
        since=now - 60,
        last_broken=now,
        severity=severity,
        title="TEST, nothing is wrong",
        value="2",
        threshold="above 1",
        reason="`paciolus-monitor alerts test` was run to see whether this arrives",
        runbook=RUNBOOK,
        fired_at=now,
    )


def _facts(links: Links, now: float) -> Facts:
    return Facts(
        at=now,
        phase="a sample: waiting for the first byte: 2.9 s of 3.1 s",
        last_good="a sample: 0.2 %, 2 min ago",
        also=("a sample: Database pool in use: 96 %",),
        deploy="a sample: 2.4.1, in place of 2.4.0, 4 min before it began",
        note="This is a test. Nothing is wrong, and there is nothing to do.",
        links=links,
    )

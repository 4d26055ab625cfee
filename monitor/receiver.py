"""Takes notifications as Alertmanager and the agent send them: the body of its webhook, version 4."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

LARGEST_BODY = 1_000_000
NOT_A_WEBHOOK = (ValueError, KeyError, TypeError, AttributeError)
"""What reading raises when the body isn't what Alertmanager sends."""


WORDS = (
    *("summary", "value", "threshold", "reason", "runbook", "dashboard"),
    *("phase", "last_good", "also", "deploy", "note", "first_step"),
)
"""Annotations; those of Prometheus' rules are the first six at most."""


class Notice(NamedTuple):
    """One alert of one notification, as it arrived."""

    at: datetime
    status: str
    alert: str
    severity: str
    summary: str
    value: str
    threshold: str
    reason: str
    runbook: str
    target: str = ""
    check: str = ""
    dashboard: str = ""
    phase: str = ""
    last_good: str = ""
    also: str = ""
    deploy: str = ""
    note: str = ""
    first_step: str = ""

    @property
    def known(self) -> list[tuple[str, str]]:
        """What else is said, in the order in which one asks for it."""
        said = (
            ("note", self.note),
            ("reason", self.reason),
            ("slowest phase", self.phase),
            ("last good", self.last_good),
            *(("also", each) for each in self.also.splitlines()),
            ("deploy", self.deploy),
            ("do first", self.first_step),
            ("runbook", self.runbook),
        )
        return [(label, text) for label, text in said if text]

    @property
    def firing(self) -> bool:
        return self.status == "firing"


def receiver(take: Callable[[list[Notice], int], None]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for POST. `take` gets the alerts of one notification and the size of its body in bytes."""

    async def receive(request: Request) -> Response:
        if int(request.headers.get("content-length", LARGEST_BODY + 1)) > LARGEST_BODY:
            return PlainTextResponse("too large, or of unknown length\n", 413)
        try:
            notices = list(read_notices(await request.json(), datetime.now().astimezone()))
        except NOT_A_WEBHOOK as error:
            return PlainTextResponse(f"not an Alertmanager webhook, version 4: {error!r}\n", 400)
        take(notices, len(await request.body()))
        return Response(status_code=204)

    return receive


def read_notices(body: Any, at: datetime) -> Iterator[Notice]:
    """Raises one of NOT_A_WEBHOOK."""
    if body["version"] != "4":
        raise ValueError(f"version {body['version']!r}")
    for alert in body["alerts"]:
        labels, said = alert["labels"], alert["annotations"]
        words = {key: str(said.get(key, "")) for key in WORDS}
        where = {key: str(labels.get(key, "")) for key in ("severity", "target", "check")}
        yield Notice(at=at, status=str(alert["status"]), alert=str(labels["alertname"]), **words, **where)

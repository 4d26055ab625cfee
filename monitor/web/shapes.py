"""The shapes of the API's answers, for its OpenAPI document."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from monitor.history import Failure, Incident, Point
from monitor.words import PHASES

Verdict = Literal["OK", "WARN", "BREACH", "UNKNOWN"]
Severity = Literal["page", "ticket", "info"]


class Check(BaseModel):
    name: str
    reason: str = Field(
        description="`ok`, `throttled`, `stalled`, or why it failed: dns, connect, tls, timeout, status, …"
    )
    detail: str = Field(description="One line; what the target said may be part of it")
    duration: float
    failures: int = Field(description="In a row, up to now")
    last_data_at: float | None


class Target(BaseModel):
    name: str
    url: str
    interval: float
    checks: list[Check]


class Objective(BaseModel):
    name: str
    title: str
    target: str
    severity: Severity
    verdict: Verdict
    value: float | None = Field(description="In base units; null when nothing finite is known")
    value_text: str
    threshold: str
    why: str
    at: float = Field(description="When it was judged last")


class Alert(BaseModel):
    name: str
    target: str
    check: str
    state: Literal["pending", "firing"]
    since: float
    severity: Severity
    title: str
    value: str
    threshold: str
    reason: str
    runbook: str
    dedup_key: str | None = Field(description="Of the conversation about it; null while it is pending")
    acknowledged_by: str | None
    withheld: str | None = Field(description="Why nobody is told of it now")


class Status(BaseModel):
    now: float
    windows_shortened: float
    faults: list[str] = Field(description="Why the agent itself can't be trusted now; empty when it can")
    targets: list[Target]
    objectives: list[Objective]
    alerts: list[Alert]


class Lasting(BaseModel):
    """What is asked for. Without an author it is whoever the credentials belong to."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)
    lasts: str = Field(default="", description="A duration such as 30m or 4h")
    author: str = Field(default="", max_length=80)

    def fields(self) -> dict[str, str]:
        return self.model_dump(exclude={"author"})


class NewSilence(Lasting):
    """`target` and `name` may hold `*` and `?`; at least one of the three must be given."""

    target: str = Field(default="", max_length=200)
    name: str = Field(default="", max_length=200)
    severity: Literal["", "page", "ticket", "info"] = ""


class SilenceMade(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    author: str
    reason: str
    starts_at: float
    ends_at: float
    target: str
    name: str
    severity: str


class AcknowledgementMade(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    dedup_key: str
    author: str
    reason: str
    at: float
    until: float | None


class BarMade(BaseModel):
    """`total` of 0 is "no data", which is neither up nor down."""

    model_config = ConfigDict(from_attributes=True)

    at: float
    step: float
    total: int
    failures: int
    ignored: int
    covered: float
    p95: float | None
    worst_reason: str | None


class PointMade(BaseModel):
    """Values are null where there was none, or no finite one."""

    at: float
    low: float | None
    high: float | None
    last: float | None
    worst: Verdict

    @classmethod
    def of(cls, point: Point) -> Self:
        low, high, last = (_finite(each) for each in (point.low, point.high, point.last))
        return cls(at=point.at, low=low, high=high, last=last, worst=point.worst.value)


class FailureMade(BaseModel):
    at: float
    check: str
    reason: str
    detail: str
    duration: float
    status: int | None
    phases: dict[str, float]

    @classmethod
    def of(cls, failure: Failure) -> Self:
        return cls(**{**failure._asdict(), "phases": dict(zip(PHASES, failure.phases, strict=True))})


class EventMade(BaseModel):
    at: float
    what: str


class IncidentMade(BaseModel):
    id: int
    name: str
    target: str
    check: str
    severity: Severity
    title: str
    since: float
    fired_at: float
    resolved_at: float | None = Field(description="null while it goes on")
    reason: str
    value: str
    threshold: str
    runbook: str
    timeline: list[EventMade]

    @classmethod
    def of(cls, incident: Incident) -> Self:
        fields = {field.name: getattr(incident, field.name) for field in dataclasses.fields(incident)}
        events = [event._asdict() for event in incident.timeline]
        return cls.model_validate({**fields, **incident.key._asdict(), "timeline": events})


class DeployMade(BaseModel):
    at: float
    target: str
    version: str
    commit: str
    branch: str
    before: str


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class Problem(BaseModel):
    detail: str

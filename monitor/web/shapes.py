"""The shapes of the API's answers, for its OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Verdict = Literal["OK", "WARN", "BREACH", "UNKNOWN"]
Severity = Literal["page", "ticket", "info"]


class Check(BaseModel):
    name: str
    reason: str = Field(
        description="`ok`, `throttled`, or why it failed: dns, connect, tls, timeout, status, …"
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


class Status(BaseModel):
    now: float
    windows_shortened: float
    faults: list[str] = Field(description="Why the agent itself can't be trusted now; empty when it can")
    targets: list[Target]
    objectives: list[Objective]
    alerts: list[Alert]

"""Sentences that the agent, Prometheus' rules and Grafana's all say."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.objectives import Objective
from monitor.quantity import format_duration

PHASES = {
    "dns": "looking up its name",
    "connect": "opening the TCP connection",
    "tls": "agreeing on TLS",
    "first_byte": "waiting for the first byte",
    "transfer": "reading the answer",
}
"""What is done in each phase of an HTTP probe."""


def description(objective: Objective, target: str, value: str) -> str:
    return (
        f"{objective.title} of {target}: {value} over the last {format_duration(objective.window)}. "
        f"Documented: {objective.document}."
    )


def nobody_knows(blinded: Iterable[Objective]) -> str:
    return f"Nobody knows about: {', '.join(each.name for each in blinded)}."

"""Sentences that the agent and Prometheus' rules both say."""

from __future__ import annotations

from monitor.objectives import Objective
from monitor.quantity import format_duration


def description(objective: Objective, target: str, value: str) -> str:
    return (
        f"{objective.title} of {target} was {value} over the last {format_duration(objective.window)}; "
        f"the documented limit: {objective.document}."
    )


def nobody_knows(names: list[str]) -> str:
    return f"Nobody knows about: {', '.join(names)}."

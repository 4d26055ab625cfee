"""For scripts: the whole report, with stable keys."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from monitor.doctor.model import SCHEMA_VERSION, Fine, NotLooked, Report, Seen, Trouble


def as_json(report: Report) -> str:
    """Times in seconds since the epoch. `looks` has every kind but those that another one speaks for."""
    told: dict[str, Any] = {
        "version": SCHEMA_VERSION,
        "target": report.target,
        "began": report.began,
        "ended": report.ended,
        "requests": report.requests,
        "reached": report.reached,
        "interrupted": report.interrupted,
        "left_behind": report.left_behind,
        "exit": int(report.exit()),
        "looks": [_look(each) for each in report.seen if each.outcome is not None],
    }
    return json.dumps(told, indent=2) + "\n"


def _look(seen: Seen) -> dict[str, Any]:
    outcome = seen.outcome
    named = {"kind": seen.name, "area": seen.kind.area.value, "title": seen.kind.title}
    match outcome:
        case Trouble():
            return {**named, "found": "trouble", **dataclasses.asdict(outcome)}
        case Fine():
            return {**named, "found": "fine", "said": outcome.said}
        case NotLooked():
            return {
                **named,
                "found": "not_looked",
                "why": outcome.why,
                "allow": outcome.allow,
                "broken": seen.broken,
            }
    raise AssertionError(outcome)

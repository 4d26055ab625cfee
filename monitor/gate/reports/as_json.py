"""For scripts: stable keys, as docs/gate-report.schema.json says."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime
from typing import Any

from monitor.gate.model import SCHEMA_VERSION, Asked, Report, Result, Waiver
from monitor.gate.reports import words


def as_json(report: Report) -> str:
    """Durations in seconds, times as RFC 3339 in UTC, shares from 0 to 1.

    What follows from the rest is there too, so that a script needs no rules of ours: exit, outcome, counts,
    the standing of each check.
    """
    shown = {
        "version": SCHEMA_VERSION,
        "outcome": words.outcome(report)[0].lower(),
        "exit": int(report.exit()),
        "target": report.target,
        "profile": report.profile,
        "began": _time(report.began),
        "ended": _time(report.ended),
        "requests": report.requests,
        "retries": report.retries,
        "stalled": report.stalled,
        "interrupted": report.interrupted,
        "on_inconclusive": report.on_inconclusive,
        "versions": list(report.versions),
        "counts": {each.replace(" ", "_"): number for each, number in words.counts(report).items()},
        "waivers": [{**_waiver(each), "expired": each.expires <= report.ended} for each in report.waivers],
        "results": [_result(each) for each in report.results],
        "timed": [dataclasses.asdict(each) for each in report.timed],
    }
    return json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _result(result: Result) -> dict[str, Any]:
    plain = ("check", "group", "claim", "verdict", "said", "cause", "where", "document", "runbook", "missing")
    return {
        "standing": words.standing(result),
        **{name: getattr(result, name) for name in plain},
        "evidence": {name: _number(value) for name, value in dataclasses.asdict(result.evidence).items()},
        "asked": [_asked(each) for each in result.asked],
        "waiver": None if result.waiver is None else _waiver(result.waiver),
        "seconds": result.seconds,
    }


def _asked(each: Asked) -> dict[str, Any]:
    return dataclasses.asdict(each)


def _waiver(waiver: Waiver) -> dict[str, Any]:
    return {**dataclasses.asdict(waiver), "expires": _time(waiver.expires)}


def _number(value: Any) -> Any:
    """JSON knows no NaN: what is not a number was not measured."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _time(at: float) -> str:
    """To the microsecond, where there are any."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")

"""Cycles and what they leave behind, with everything filled in, but what the test is about."""

from __future__ import annotations

from dataclasses import replace

from monitor.history import Entry, Message, ProbeRow


def probe(at: float, reason: str = "ok", **changes: object) -> ProbeRow:
    row = ProbeRow(at, "api", "health", reason, "200 OK", 0.012, 200)
    return row._replace(**changes)  # type: ignore[arg-type]


def entry(at: float = 100.0, **changes: object) -> Entry:
    made = Entry(at=at, probes=(probe(at),), changed=(), standing=(), target="api", messages=())
    return replace(made, **changes)  # type: ignore[arg-type]


def message(body: str = "{}", key: str = "key", notifier: str = "on-call") -> Message:
    return Message(notifier, key, body)

"""What an answer must never show: where in whose code something went wrong."""

from __future__ import annotations

import re

_TELLING = re.compile(
    rb"Traceback \(most recent call last\)"
    rb'|File "[^"\n]{1,300}\.py", line \d+'
    rb"|/(?:site-packages|dist-packages)/"
    rb"|\b(?:sqlalchemy|psycopg2|asyncpg|sqlite3)\.(?:exc|errors|\w*Error)\b"
    rb"|\[SQL: |\bSELECT [^<>]{1,200} FROM \w"
    rb"|\bat [\w.$]+\([\w.]+\.(?:java|js|ts):\d+"
)
LONGEST = 1_000_000
"""Bytes that are looked at."""


def trace_in(body: bytes) -> str:
    """What it shows, in a few characters; "" for nothing."""
    found = _TELLING.search(body[:LONGEST])
    return f"shows {found[0][:80].decode(errors='replace')!r}" if found else ""

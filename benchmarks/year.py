"""Ten targets for a year: how large the database gets, how long the page and the report wait for it.

    python -m benchmarks.year [DATABASE_URL]

Each target has one check, probed every 30 s (10.5 million probes), and all objectives. The rows are those
that the agent would have left after its last pruning, made by the code that it rolls up with; what would
have been pruned (raw probes, minutes) is not made in the first place. Without a URL: SQLite in a temporary
folder. Takes about five minutes.
"""

from __future__ import annotations

import gc
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from monitor.alerting import Alert, Key, State
from monitor.history import Entry, History, Message, ProbeRow
from monitor.history.numbers import CHECK, OBJECTIVE, Numbers, Series
from monitor.history.pruning import KEEP_OUTCOMES, KEEP_READINGS, KEEP_RESULTS, KEEP_ROLLUPS
from monitor.history.rollup import DAY, HOUR, MINUTE, Extent, rolled
from monitor.history.writing import add_extents, add_failures, add_outcomes, add_rollups
from monitor.objectives import load_objectives
from monitor.resources import resource
from monitor.series import TargetSeries

TARGETS = [f"service-{number}" for number in range(10)]
INTERVAL = 30.0
DAYS = 365
END = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
START = END - DAYS * DAY
OBJECTIVES = [objective.name for objective in load_objectives(resource("alerts", "objectives.yml"))]
LARGEST, SLOWEST_QUERY, SLOWEST_REPORT = 1e9, 0.050, 2.0
TURNS = 5

Spans = tuple[int, ...]


class Year:
    """Writes the past, day by day."""

    def __init__(self, store: History) -> None:
        self._writing: Callable[[], AbstractContextManager[sa.Connection]] = store._writing  # noqa: SLF001
        self._store = store
        self._numbers = Numbers()
        self._dice = random.Random(1)
        self._durations = [self._dice.lognormvariate(-3.5, 0.6) for _ in range(20_000)]
        self.probes = 0

    def write(self) -> None:
        for start in range(START, END, DAY):
            self._day(start)
        self._store.prune(END)

    def _day(self, start: int) -> None:
        probes = list(self._probed(start))
        self.probes += len(probes)
        if start >= END - KEEP_RESULTS:
            self._store.record([Entry(start, tuple(probes), (), (), "none", ())])
        else:
            self._roll_up(start, probes)
        with self._writing() as connection:
            numbers = self._looked_up(connection, OBJECTIVE, OBJECTIVES)
            add_extents(connection, self._read(start, numbers))
        for fired in (start + 1000.0 * each for each in range(start // DAY % 3)):
            self._incident(self._dice.choice(TARGETS), fired)

    def _roll_up(self, start: int, probes: list[ProbeRow]) -> None:
        spans: Spans = (MINUTE, HOUR, DAY) if start >= END - KEEP_ROLLUPS[MINUTE] else (HOUR, DAY)
        with self._writing() as connection:
            numbers = self._looked_up(connection, CHECK, ["health"])
            add_rollups(connection, rolled(probes, numbers, spans))
            add_failures(connection, probes, numbers)
            if start >= END - KEEP_OUTCOMES:
                add_outcomes(connection, probes, numbers)

    def _looked_up(self, connection: sa.Connection, kind: str, names: list[str]) -> dict[Series, int]:
        return self._numbers.look_up(connection, [Series(kind, t, name) for t in TARGETS for name in names])

    def _probed(self, start: int) -> Iterator[ProbeRow]:
        phases = (0.001, 0.001, 0.002, 0.02, 0.001)
        for number, target in enumerate(TARGETS):
            outage = start + self._dice.randrange(DAY)
            for turn in range(int(DAY / INTERVAL)):
                at = start + turn * INTERVAL + number * 3 + 0.123456
                duration = self._durations[(turn * 7 + number * 131 + start) % 20_000]
                down = outage <= at < outage + 90
                reason, detail, status = (
                    ("timeout", "no answer within 10 s", None) if down else ("ok", "200 OK", 200)
                )
                yield ProbeRow(at, target, "health", reason, detail, duration, status, INTERVAL, phases)

    def _read(self, start: int, numbers: dict[Series, int]) -> dict[Any, Extent]:
        """A row for each hour, and for each minute where those are still kept."""
        spans: Spans = (MINUTE, HOUR) if start >= END - KEEP_READINGS[MINUTE] else (HOUR,)
        value = self._dice.random()
        return {
            (span, number, at): Extent(value / 2, value, value / 3, at + span - 0.5, 0)
            for number in numbers.values()
            for span in spans
            for at in range(start, start + DAY, span)
        }

    def _incident(self, target: str, fired: float) -> None:
        key = Key("target-down", target, "health")
        texts = ("3 failures", "at least 3", "timeout: no answer", "docs/runbooks/target-down.md")
        alert = Alert(
            key, State.FIRING, fired - 9, fired, "page", "Health check fails", *texts, fired_at=fired
        )
        over = replace(alert, state=State.RESOLVED, resolved_at=fired + 95)
        for each in (alert, over):
            message = Message("on-call", f"{target} {fired}", "{}" * 1000)
            self._store.record([Entry(fired, (), (each,), (), target, (message,))])


def queries(store: History) -> dict[str, Callable[[str], object]]:
    """What the page asks of one target, by what it shows."""
    read, month = store.read, END - 31 * DAY
    return {
        "bars of 90 days": lambda t: read.bars(t, "health", END - 90 * DAY, END, DAY),
        "bars of a year": lambda t: read.bars(t, "health", START, END, DAY),
        "bars of 24 hours, by 10 min": lambda t: read.bars(t, "health", END - DAY, END, 600),
        "bars of an hour, by minute": lambda t: read.bars(t, "health", END - HOUR, END, 60),
        "p95 of a month": lambda t: read.latency(t, "health", month, END, 0.95),
        "p95 of 100 days up to the minute": lambda t: read.latency(
            t, "health", END - 100 * DAY + 60, END - 60, 0.95
        ),
        "uptime of a year": lambda t: read.uptime(t, START, END),
        "phases of 24 hours": lambda t: read.phases(t, "health", END - DAY, END),
        "an objective, 24 hours by 5 min": lambda t: read.objective_series(
            t, "latency-p95", END - DAY, END, 300
        ),
        "an objective, 90 days by 6 h": lambda t: read.objective_series(
            t, "latency-p95", END - 90 * DAY, END, 6 * HOUR
        ),
        "incidents of 90 days": lambda _: read.incidents(END - 90 * DAY, END),
        "incidents of a year, one target": lambda t: read.incidents(START, END, t),
        "the last 100 failures": lambda t: read.failures(t, 100),
    }


def slowest(ask: Callable[[str], object]) -> float:
    """Seconds: the median of some turns, for the target that takes longest."""
    return max(statistics.median(timed(ask, target) for _ in range(TURNS)) for target in TARGETS)


def timed(ask: Callable[[str], object], target: str) -> float:
    began = time.perf_counter()
    ask(target)
    return time.perf_counter() - began


def restored(store: History) -> tuple[float, int]:
    """Seconds to have a month of availability in memory again, and how many probes that is."""
    gc.collect()
    began, probes = time.perf_counter(), 0
    for past in store.outcomes(END - 30 * DAY, END):
        memory = TargetSeries({"probe_success": 30.0 * DAY})
        memory.restore("probe_success", (("target", past.target),), past.times, past.values)
        probes += len(past.times)
    return time.perf_counter() - began, probes


def report(folder: Path, url: str, *form: str) -> float:
    """Seconds for the whole command, the start of Python included."""
    targets = "\n".join(
        f"  - {{name: {t}, url: 'http://127.0.0.1:9', checks: {{health: {{probe: http}}}}}}" for t in TARGETS
    )
    config = folder / "monitor.yml"
    config.write_text(f"database: {url}\ntargets:\n{targets}\n")
    command = [
        sys.executable,
        "-m",
        "monitor",
        "report",
        "--config",
        str(config),
        "--month",
        "2026-10",
        *form,
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def size(store: History) -> float:
    with store.engine.connect() as connection:
        if store.engine.dialect.name == "sqlite":
            pages, page = (
                connection.exec_driver_sql(f"PRAGMA {it}").scalar_one() for it in ("page_count", "page_size")
            )
            return float(pages * page)
        return float(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def aimed(name: str, value: str, limit: str, *, met: bool) -> None:
    print(f"  {name:36} {value:>10}   aim: under {limit} {'(met)' if met else '(MISSED)'}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder, 'year.db')}"
        store = History(url)
        store.create()
        year, began = Year(store), time.perf_counter()
        year.write()
        took = time.perf_counter() - began
        print(
            f"{len(TARGETS)} targets, {DAYS} days, {year.probes:,} probes, {len(OBJECTIVES)} objectives each,"
        )
        print(f"on {store.engine.dialect.name}, written in {took:.0f} s")
        bytes_ = size(store)
        aimed(
            "size of the database", f"{bytes_ / 1e6:.0f} MB", f"{LARGEST / 1e6:.0f} MB", met=bytes_ < LARGEST
        )
        answered = {name: slowest(ask) for name, ask in queries(store).items()}
        for name, seconds in sorted(answered.items(), key=lambda each: -each[1]):
            aimed(
                name,
                f"{1000 * seconds:.1f} ms",
                f"{1000 * SLOWEST_QUERY:.0f} ms",
                met=seconds < SLOWEST_QUERY,
            )
        for form in ((), ("--html",)):
            seconds = statistics.median(report(Path(folder), url, *form) for _ in range(3))
            name = " ".join(("report of a month", *form))
            aimed(name, f"{seconds:.2f} s", f"{SLOWEST_REPORT:g} s", met=seconds < SLOWEST_REPORT)
        seconds, probes = restored(store)
        print(f"  {f'restoring {probes:,} probes':36} {1000 * seconds:8.0f} ms")
        store.close()


if __name__ == "__main__":
    main()

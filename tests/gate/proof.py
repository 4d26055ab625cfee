"""Shows that the gate can be trusted: `make gate-proof`, an hour and a half.

    python -m tests.gate.proof [--only slow_route,two_instances_two_secrets] [--healthy 50] [--side-by-side 2]

Each case is the shipped API in production mode on PostgreSQL, as a process, and the gate with its whole
post-deploy profile as another one: every defect of defects.py, every world of worlds.py, a run of the healthy
API between each few of them, and many of those in the end. A row is printed as soon as it is known.
Ends with 1 if anything was not as it has to be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import jsonschema_rs

from tests.gate.defects import DEFECTS
from tests.gate.pipeline import Ran
from tests.gate.worlds import WORLDS, Place
from tests.servers import Postgres, Process, run_postgres

LONGEST = 90.0
"""Seconds for a run of the healthy API."""
BETWEEN = 5
"""Defects between two controls; and runs of one healthy process."""
CONTROL = "healthy"
LEAVES = {"accounts_stay", "dies_half_way"}
"""Who cannot be cleaned up after."""
SCHEMA = json.loads(Path(__file__).parents[2].joinpath("docs/gate-report.schema.json").read_text())
VALID = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)


@dataclass(frozen=True, slots=True)
class Case:
    """`check` has to fail ("": none has to), the exit status be one of `exits`."""

    name: str
    check: str
    exits: tuple[int, ...]
    play: Callable[[Place], Iterator[Ran]]


@dataclass(frozen=True, slots=True)
class Row:
    case: Case
    exit: int
    seconds: float
    said: str
    others: tuple[str, ...]
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        mark = "WRONG" if self.wrong else "ok"
        said = "; ".join((*self.wrong, self.said))[:150]
        others = f"  [also: {', '.join(self.others)}]" if self.others else ""
        check = self.case.check or "-"
        return f"{mark:5} {self.case.name:38} {check:20} {self.exit:4} {self.seconds:6.1f} s  {said}{others}"


def cases(healthy: int) -> Iterator[Case]:
    for number, (name, defect) in enumerate(DEFECTS.items()):
        if number % BETWEEN == 0:
            yield _control(1)
        exits = (1,) if defect.always else (1, 3)
        yield Case(name, defect.check, exits, partial(_with_defect, f"tests.gate.defects:{name}"))
    for name, world in WORLDS.items():
        yield Case(name, world.check, world.exits, partial(_in_world, world.play))
    for done in range(0, healthy, BETWEEN):
        yield _control(min(BETWEEN, healthy - done))


def _control(times: int) -> Case:
    return Case(CONTROL, "", (0,), partial(_healthy, times))


def _with_defect(target: str, place: Place) -> Iterator[Ran]:
    yield place.gate(place.api(target).url)


def _in_world(play: Callable[[Place], Ran], place: Place) -> Iterator[Ran]:
    yield play(place)


def _healthy(times: int, place: Place) -> Iterator[Ran]:
    api = place.api()
    for _ in range(times):
        yield place.gate(api.url)


def played(case: Case, postgres: Postgres, alive: set[Process]) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gate-proof-")))
        place = Place(stack, partial(_started, stack, folder, alive), postgres, folder)
        runs = case.play(place)
        while True:
            began = time.monotonic()
            if (ran := next(runs, None)) is None:
                return
            yield _row(case, ran, time.monotonic() - began, place)


def _started(
    stack: ExitStack,
    folder: Path,
    alive: set[Process],
    *argv: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Process:
    started = Process(*argv, log=folder / f"output-{time.monotonic_ns()}", env=env, cwd=cwd)
    alive.add(started)
    stack.callback(alive.discard, started)
    stack.callback(started.stop)
    return started


def _row(case: Case, ran: Ran, seconds: float, place: Place) -> Row:
    results = {each["check"]: each for each in ran.report.get("results", ())}
    wrong = [*_wrong(case, ran, seconds), *_wrong_reports(case, ran, place.folder)]
    if case.name not in LEAVES:
        wrong += [f"left behind: {rows}" for api in place.apis if any((rows := api.rows()).values())]
    told = results.get(case.check) or _undecided(ran) or {}
    others = tuple(sorted(ran.failed - {case.check}))
    return Row(case, ran.status, seconds, _said(told), others, tuple(wrong))


def _undecided(ran: Ran) -> dict[str, Any] | None:
    return next((each for each in ran.report.get("results", ()) if each["verdict"] == "inconclusive"), None)


def _said(result: Mapping[str, Any]) -> str:
    evidence = result.get("evidence", {})
    return " ".join(filter(None, (str(result.get("said", "")), str(evidence.get("value", "")))))


def _wrong(case: Case, ran: Ran, seconds: float) -> Iterator[str]:
    if ran.status not in case.exits:
        yield f"exit {ran.status} instead of {' or '.join(map(str, case.exits))}"
    if case.check and 1 in case.exits and ran.status == 1 and case.check not in ran.failed:
        yield f"{case.check} did not fail"
    if case.name == CONTROL and seconds > LONGEST:
        yield f"longer than {LONGEST:g} s"
    if case.name == CONTROL and ran.status:
        yield ", ".join(sorted(ran.failed | ran.standing("inconclusive"))) or ran.output[-500:]


def _wrong_reports(case: Case, ran: Ran, folder: Path) -> Iterator[str]:
    """Every form has to be there, to be valid, and to name the check that failed."""
    if not ran.report:
        yield f"no report: {ran.output[-300:]}"
        return
    try:
        VALID.validate(ran.report)
    except jsonschema_rs.ValidationError as error:
        yield f"JSON: {error.message}"
    if not json.loads((folder / "report.sarif").read_text())["runs"]:
        yield "SARIF without a run"
    if case.check in ran.failed:
        junit = Xml.parse(folder / "report.junit").getroot()
        failures = [each.get("name") for each in junit.iter("testcase") if each.find("failure") is not None]
        named = {"text": ran.output, "Markdown": (folder / "report.md").read_text(), "JUnit": str(failures)}
        yield from (f"{form} does not name it" for form, text in named.items() if case.check not in text)


def prove(wanted: list[Case], side_by_side: int) -> list[Row]:
    """Prints each row as it comes. Interrupted, it ends what it has started."""
    rows: list[Row] = []
    alive: set[Process] = set()
    said = threading.Lock()

    def play(case: Case) -> None:
        for row in _or_crash(case, played(case, postgres, alive)):
            with said:
                rows.append(row)
                print(row, flush=True)

    with run_postgres() as postgres, ThreadPoolExecutor(side_by_side) as lanes:
        try:
            for each in as_completed([lanes.submit(play, case) for case in wanted]):
                each.result()
        except BaseException:
            lanes.shutdown(wait=False, cancel_futures=True)
            for process in list(alive):
                process.send(signal.SIGKILL)
            raise
    return rows


def _or_crash(case: Case, rows: Iterator[Row]) -> Iterator[Row]:
    """A case that breaks the proof itself is no success of the gate."""
    try:
        yield from rows
    except Exception as error:  # noqa: BLE001 - the others are still worth knowing
        yield Row(case, -1, 0.0, "", (), (f"{type(error).__name__}: {error}"[:300],))


def summary(rows: list[Row]) -> Iterator[str]:
    defects = [each for each in rows if each.case.name in DEFECTS or each.case.check]
    sources = [each for each in rows if each not in defects and each.case.name != CONTROL]
    controls = [each for each in rows if each.case.name == CONTROL]
    kinds = {"defects caught by their check": defects, "runs without data that did not pass": sources}
    for what, found in kinds.items():
        if found:
            yield f"{what}: {sum(not each.wrong for each in found)} of {len(found)}"
    if controls:
        times = [each.seconds for each in controls]
        good = sum(not each.wrong for each in controls)
        alarms = sum(each.exit == 1 for each in controls)
        yield (
            f"healthy runs that pass: {good} of {len(controls)} ({alarms} false alarms), "
            f"{statistics.median(times):.1f} s in the median, {max(times):.1f} s at most"
        )
    yield from (f"WRONG {each.case.name}: {'; '.join(each.wrong)}" for each in rows if each.wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="names of cases, with commas between; healthy is one")
    parser.add_argument("--healthy", type=int, default=50, help="runs of the healthy API in the end")
    parser.add_argument("--side-by-side", type=int, default=2, help="cases at a time")
    asked = parser.parse_args()
    names = {*filter(None, asked.only.split(","))}
    if unknown := names - {CONTROL, *DEFECTS, *WORLDS}:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = [each for each in cases(asked.healthy) if not names or each.name in names]
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        rows = prove(wanted, asked.side_by_side)
        print("", *summary(rows), f"in {(time.monotonic() - began) / 60:.0f} minutes", sep="\n")
        return int(any(each.wrong for each in rows))
    return 130


if __name__ == "__main__":
    sys.exit(main())

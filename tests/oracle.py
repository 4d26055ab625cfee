"""A real Prometheus over series that a test made up, to be asked what our own arithmetic should say."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers import CALMLY, require_program, run_prometheus

GRID = 0.125
"""Seconds. Times on this grid are exact as floats and as Prometheus' milliseconds."""
Points = Sequence[tuple[float, float]]
CASE = "target"


class MadeUp(NamedTuple):
    """One series of one case; the label `target` is added for Prometheus, which holds all cases at once."""

    case: int
    name: str
    labels: dict[str, str]
    points: Points


class Oracle:
    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, query: str, at: float) -> dict[int, float]:
        """The value of an instant query at `at` for each case that has one."""
        form = urllib.parse.urlencode({"query": query, "time": at}).encode()
        with urllib.request.urlopen(f"{self._url}/api/v1/query", form, timeout=20) as response:
            answer = json.load(response)
        return {int(each["metric"][CASE]): float(each["value"][1]) for each in answer["data"]["result"]}


@contextlib.contextmanager
def run_oracle(series: Iterable[MadeUp], folder: Path) -> Iterator[Oracle]:
    page, storage = folder / "series.txt", folder / "blocks"
    page.write_text("".join(map(_openmetrics, series)) + "# EOF\n")
    promtool = require_program("promtool")
    made = subprocess.run(
        [*CALMLY, promtool, "tsdb", "create-blocks-from", "openmetrics", page, storage],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    with run_prometheus("{}", folder, "--query.lookback-delta=1s", storage=storage) as url:
        yield Oracle(url)


def _openmetrics(series: MadeUp) -> str:
    labels = {**series.labels, CASE: str(series.case)}
    inside = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items())
    return "".join(f"{series.name}{{{inside}}} {value!r} {at!r}\n" for at, value in series.points)


def same(ours: float | None, theirs: float | None) -> bool:
    """Equal to nine digits; "no value" and NaN equal themselves only."""
    if ours is None or theirs is None:
        return ours is theirs
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)


def disagreements(ours: dict[int, float | None], theirs: dict[int, float]) -> list[str]:
    return [
        f"case {case}: we say {said}, Prometheus says {theirs.get(case)}"
        for case, said in ours.items()
        if not same(said, theirs.get(case))
    ]

"""The past as small drawings: heartbeat bars, and a value against its line. No data is a gap, never good."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitor.history import Bar, Point
from monitor.judge import Verdict
from monitor.quantity import Threshold, format_value
from monitor.web.past import Range
from monitor.web.words import Moment, counted, roughly

HEIGHT = 24.0
"""Of bars; a step is 10 wide, of which 8 are drawn."""
SHORTEST_BAD = 8.0
MOSTLY = 0.9
CHART_WIDTH, CHART_HEIGHT = 240.0, 48.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """`good`, `bad` and `none` are SVG paths; `bars` has words for each bar."""

    key: str
    words: str
    width: int
    good: str
    bad: str
    none: str
    summary: str
    share: str
    known: bool
    check: str
    bars: tuple[BarWords, ...]


@dataclass(frozen=True, slots=True)
class BarWords:
    x: int
    text: str


def heartbeat(found: Sequence[Bar], wanted: Range, now: float, check: str = "") -> Heartbeat:
    paths: dict[str, list[str]] = {"good": [], "bad": [], "none": []}
    for index, bar in enumerate(found):
        for kind, path in _drawn(bar, index * 10, now):
            paths[kind].append(path)
    return Heartbeat(
        key=wanted.key,
        words=wanted.words,
        width=max(10, len(found) * 10),
        good="".join(paths["good"]),
        bad="".join(paths["bad"]),
        none="".join(paths["none"]),
        summary=_summary(found, wanted),
        share=_share(found),
        known=any(bar.total for bar in found),
        check=check,
        bars=tuple(BarWords(index * 10, _words(bar, now)) for index, bar in enumerate(found)),
    )


def _drawn(bar: Bar, x: int, now: float) -> Iterator[tuple[str, str]]:
    """Failures stand at the foot of a bar, at least as high as can be seen; no data is a short stroke.

    A bar is as narrow as its data are few.
    """
    if not bar.total:
        yield "none", f"M{x + 3} {HEIGHT - 2:g}h4v2h-4z"
        return
    width = 8 if _coverage(bar, now) > MOSTLY else max(2.0, round(8 * _coverage(bar, now), 1))
    share = bar.failures / bar.total
    bad = max(SHORTEST_BAD, HEIGHT * share) if bar.failures else 0.0
    bad = HEIGHT if share == 1 else min(bad, HEIGHT - 4)
    if bad < HEIGHT:
        yield "good", f"M{x + 1} 0h{width:g}v{HEIGHT - bad - (1 if bad else 0):g}h-{width:g}z"
    if bad:
        yield "bad", f"M{x + 1} {HEIGHT - bad:g}h{width:g}v{bad:g}h-{width:g}z"


def _coverage(bar: Bar, now: float) -> float:
    """The share of what is past of a bar for which there is data."""
    past = min(bar.step, now - bar.at)
    return min(1.0, bar.covered / past) if past > 0 else 0.0


def _share(found: Iterable[Bar]) -> str:
    """Of probes that were good; nothing is said where nothing is known."""
    bars = list(found)
    total, failures = sum(bar.total for bar in bars), sum(bar.failures for bar in bars)
    if not total:
        return "no data"
    return format_value((total - failures) / total, "ratio")


def _summary(found: Sequence[Bar], wanted: Range) -> str:
    """What somebody hears who does not see the bars."""
    total, failures = sum(bar.total for bar in found), sum(bar.failures for bar in found)
    blank = sum(1 for bar in found if not bar.total)
    said = [f"Last {wanted.words}: {_share(found)} of {counted(total, 'probe')} good" if total else "no data"]
    if failures:
        bad = [bar for bar in found if bar.failures]
        worst = max(bad, key=lambda bar: bar.failures / bar.total)
        said.append(f"{counted(failures, 'failure')}, most often {worst.worst_reason}")
    if blank and total:
        said.append(f"no data for {roughly(blank * wanted.step)}")
    return "; ".join(said)


def _words(bar: Bar, now: float) -> str:
    start, end = Moment(bar.at, now), Moment(bar.at + bar.step, now)
    when = f"{start.utc} to {end.utc} UTC"
    if not bar.total:
        return f"{when}: no data"
    known = _coverage(bar, now)
    blank = "" if known > MOSTLY else f", no data for {roughly((1 - known) * bar.step)}"
    speed = "" if bar.p95 is None else f", p95 {format_value(bar.p95, 'seconds')}"
    if not bar.failures:
        return f"{when}: {counted(bar.total, 'probe')} good{speed}{blank}"
    return (
        f"{when}: {bar.failures} of {counted(bar.total, 'probe')} failed ({bar.worst_reason}){speed}{blank}"
    )


@dataclass(frozen=True, slots=True)
class Chart:
    """`line`, `band` and `broken` are SVG paths in a box of 240 by 48; `limit` is the height of the line."""

    line: str
    band: str
    broken: str
    limit: float
    marks: tuple[float, ...]
    top: str
    bottom: str
    summary: str
    words: str


def chart(
    found: Sequence[Point], limit: Threshold, wanted: Range, now: float, marks: Iterable[float] = ()
) -> Chart | None:
    """None where there is no value to draw. `marks`: times of deploys."""
    valued = [point for point in found if all(map(_finite, (point.low, point.high, point.last)))]
    if not valued:
        return None
    since, until = wanted.span(now)
    low, high = _extent(valued, limit)

    def x(at: float) -> float:
        return round(CHART_WIDTH * (at - since) / (until - since), 1)

    def y(value: float) -> float:
        return round(CHART_HEIGHT * (1 - (min(max(value, low), high) - low) / (high - low)), 1)

    runs = list(_runs(valued, wanted.step))
    middle = wanted.step / 2
    return Chart(
        line="".join(_path([(x(p.at + middle), y(p.last or 0.0)) for p in run]) for run in runs),
        band="".join(
            _band([(x(p.at + middle), y(p.high or 0.0), y(p.low or 0.0)) for p in run]) for run in runs
        ),
        broken="".join(
            f"M{x(p.at)} {CHART_HEIGHT}h{round(CHART_WIDTH * wanted.step / (until - since), 1)}"
            for p in found
            if p.worst is Verdict.BREACH
        ),
        limit=y(limit.value),
        marks=tuple(x(at) for at in marks if since <= at < until),
        top=format_value(high, limit.unit),
        bottom=format_value(low, limit.unit),
        summary=_chart_summary(valued, found, limit, wanted),
        words=wanted.words,
    )


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _extent(points: Iterable[Point], limit: Threshold) -> tuple[float, float]:
    values = [value for point in points for value in (point.low, point.high) if value is not None]
    low, high = min(*values, limit.value), max(*values, limit.value)
    if low >= 0 and not (limit.unit == "ratio" and limit.value > 0.5 and not limit.high_is_bad):
        low = 0.0
    room = (high - low) * 0.1 or abs(high) or 1.0
    return low, high + room if limit.high_is_bad else high


def _runs(points: Sequence[Point], step: float) -> Iterator[list[Point]]:
    """Broken where a step is missing: no line is drawn over what nobody knows."""
    run: list[Point] = []
    for point in points:
        if run and point.at - run[-1].at > 1.5 * step:
            yield run
            run = []
        run.append(point)
    yield run


def _path(places: Sequence[tuple[float, float]]) -> str:
    if len(places) == 1:
        return f"M{places[0][0]} {places[0][1]}h1"
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def _band(places: Sequence[tuple[float, float, float]]) -> str:
    over = "L".join(f"{x} {high}" for x, high, _ in places)
    under = "L".join(f"{x} {low}" for x, _, low in reversed(places))
    return f"M{over}L{under}z"


def _chart_summary(valued: Sequence[Point], found: Sequence[Point], limit: Threshold, wanted: Range) -> str:
    lows = [point.low for point in valued if point.low is not None]
    highs = [point.high for point in valued if point.high is not None]
    broken = sum(point.worst is Verdict.BREACH for point in found)
    low, high = limit.shown(min(lows)), limit.shown(max(highs))
    said = f"{wanted.words}: {low} to {high}" if low != high else f"{wanted.words}: {low} throughout"
    if broken:
        said += f", broken in {counted(broken, 'step')} of {roughly(wanted.step)}"
    return said

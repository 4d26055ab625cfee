"""What a gate will cost and what it can see, said before it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from monitor.gate.sample import WARM_UP
from monitor.gate.sequential import BAD, GOOD, Odds, planned
from monitor.quantity import format_duration

TOGETHER = " and "
"""Between the names of checks that look at the same requests."""
HEAD = ("check", "bad at most", "requests", "time", "at 1/5 of it", "at the limit", "at 3 times")


class Claim(NamedTuple):
    """That fewer than `limit` of the requests are bad; one takes about `seconds`."""

    check: str
    limit: float
    seconds: float


class Fixed(NamedTuple):
    """A check that is not sampled: about so many requests, and the seconds that it waits in between."""

    check: str
    requests: int
    usually: float = 0.0
    most: float = 0.0


class _Sized(NamedTuple):
    claim: Claim
    most: int
    good: Odds[float]
    at_limit: Odds[float]
    bad: Odds[float]


def plan(
    claims: Iterable[Claim],
    max_requests: int,
    max_time: float,
    fixed: Sequence[Fixed] = (),
    seconds: float = 0.0,
    order: Sequence[str] = (),
    pairs: int = 0,
) -> str:
    """A table, what is not sampled, a sum, and what does not fit.

    `max_time` in seconds; one request takes `seconds`. `order`: the names of the checks as they are asked, of
    which the last ones are cut. `pairs`: requests that a baseline takes, on either side.
    """
    sized, refused = [], []
    for claim in claims:
        try:
            sized.append(_size(claim))
        except ValueError as error:
            refused.append(f"{claim.check}: {error}")
    lines = [*_table([HEAD, *map(_row, sized)])] if sized else []
    others = _others(fixed, seconds)
    total = _Total(
        sum(each.most for each in sized) + sum(each.requests for each in fixed),
        sum(_usual(each) * each.claim.seconds for each in sized) + others.usually,
        sum(each.most * each.claim.seconds for each in sized) + others.most,
    )
    takes = {each.claim.check.split(TOGETHER)[0]: each.most * each.claim.seconds for each in sized}
    takes |= {each.check: each.most or each.requests * seconds for each in fixed}
    cut = _cut(order, takes, max_time)
    said = [*lines, *refused, *_waiting(fixed), *_sum(total, max_requests, max_time, cut)]
    if pairs:
        said.append(_compared(pairs, total, max_requests, max_time, seconds))
    return "\n".join(said)


def _cut(order: Sequence[str], takes: Mapping[str, float], max_time: float) -> list[str]:
    """What is not reached, or not finished, if all takes as long as it may."""
    ends = accumulate(takes.get(name, 0.0) for name in order)
    return [name for name, end in zip(order, ends, strict=True) if end > max_time]


def _size(claim: Claim) -> _Sized:
    test = planned(claim.limit)
    odds = (test.odds(min(1.0, each * claim.limit)) for each in (GOOD, 1.0, BAD))
    return _Sized(claim, test.most + WARM_UP, *odds)


def _row(each: _Sized) -> tuple[str, ...]:
    usual = _usual(each)
    return (
        each.claim.check,
        f"{100 * each.claim.limit:g} %",
        f"{usual}, at most {each.most}",
        f"{_time(usual * each.claim.seconds)}, at most {_time(each.most * each.claim.seconds)}",
        f"passes {each.good.passes:.1%}",
        f"passes {each.at_limit.passes:.1%}",
        f"fails {each.bad.fails:.1%}",
    )


def _usual(each: _Sized) -> int:
    return round(each.good.requests) + WARM_UP


class _Total(NamedTuple):
    requests: int
    usually: float
    most: float


def _others(fixed: Sequence[Fixed], seconds: float) -> _Total:
    """Who waits asks meanwhile."""
    asking = sum(each.requests * seconds for each in fixed if not each.most)
    return _Total(
        sum(each.requests for each in fixed),
        asking + sum(each.usually for each in fixed),
        asking + sum(each.most for each in fixed),
    )


def _waiting(fixed: Sequence[Fixed]) -> Iterator[str]:
    for each in fixed:
        if each.most:
            yield (
                f"{each.check}: {each.requests} requests at most, over {_time(each.usually)}, "
                f"at most {_time(each.most)}"
            )
    others = [each.requests for each in fixed if not each.most]
    if others:
        yield f"{len(others)} other checks: about {sum(others)} requests"


def _sum(total: _Total, max_requests: int, max_time: float, cut: Sequence[str]) -> Iterator[str]:
    requests, _, seconds = total
    yield (
        f"In all at most {requests} requests of {max_requests}; {_time(total.usually)}, "
        f"at most {_time(seconds)} of {_time(max_time)}."
    )
    if requests > max_requests:
        yield f"It may run out of requests before all is decided: --max-requests {requests} is enough."
    if seconds > max_time:
        yield f"It may run out of time before all is decided: --max-time {math.ceil(seconds)}s is enough."
    if cut:
        yield f"In the worst case these are inconclusive, for lack of time: {', '.join(cut)}."


def _compared(pairs: int, total: _Total, max_requests: int, max_time: float, seconds: float) -> str:
    """On either side one after the other; both sides count as time, one as requests of the target."""
    requests, most = total.requests + pairs, math.ceil(total.most + 2 * pairs * seconds)
    said = (
        f"With --baseline {pairs} requests more, and as many to a baseline's URL: "
        f"{_time(pairs * seconds)}, or {_time(2 * pairs * seconds)} with a URL."
    )
    lacking = {f"--max-time {most}s": most > max_time, f"--max-requests {requests}": requests > max_requests}
    wanted = " and ".join(option for option, is_short in lacking.items() if is_short)
    return f"{said} Give it {wanted} then." if wanted else said


def _time(seconds: float) -> str:
    return format_duration(float(round(seconds))) if seconds >= 1 else "1s"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

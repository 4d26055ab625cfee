"""What a check does: a coroutine asks the target something and comes back with an Outcome, whatever happens.

A kind of probe is a function and an entry in PROBES.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from exporters.http import Prober, Reason, Request, Result
from exporters.sample import Sample, labels
from exporters.scrape import scrape
from monitor.config import CheckConfig, Target
from monitor.quantity import format_duration

THROTTLED = "throttled"
STALLED = "stalled"
OK = "ok"
DEFAULT_BACK_OFF = 60.0
MAX_BACK_OFF = 120.0
"""Seconds. After 5 min without data somebody is told: a limit that is lifted before then must be noticed
before (docs/adr/0024)."""
LONG_STALL = 1.0
"""Seconds. Kept waiting for so long by us, a server may hang up on us and be well. A missed deadline tells
more: the prober gives back what was lost, up to as much again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is "ok", "throttled", "stalled" (the agent itself stood still) or an `exporters.http.Reason`.
    No `samples`: nothing was learnt.

    `back_off`: seconds for which the target asked to be left alone.
    """

    check: str
    reason: str
    detail: str
    result: Result
    samples: list[Sample]
    back_off: float = 0.0

    @property
    def success(self) -> bool:
        return self.reason == OK

    @property
    def telling(self) -> bool:
        """Whether it says anything about the target: not when we were asked to wait, or stood still."""
        return self.reason not in (THROTTLED, STALLED)


Wanted = Callable[[str], bool]
Probe = Callable[[Prober, Target, CheckConfig, Wanted], Awaitable[Outcome]]


async def http(prober: Prober, target: Target, check: CheckConfig, _: Wanted) -> Outcome:
    """Did the API answer as expected, and how quickly. 429 means "slow down", never "down"."""
    result = await prober.probe(_request(target, check))
    if (nothing := _nothing_learnt(check, result)) is not None:
        return nothing
    return Outcome(check.name, result.reason or OK, result.detail, result, _learnt(target, check, result))


def _learnt(target: Target, check: CheckConfig, result: Result) -> list[Sample]:
    """Nothing about the target's speed while our own event loop stood still."""
    place = labels(target=target.name, check=check.name)
    learnt = [Sample("probe_success", place, float(result.success))]
    if result.certificate_expires is not None:
        learnt.append(Sample("probe_certificate_expiry_timestamp_seconds", place, result.certificate_expires))
    if result.success and not result.stalled:
        learnt.append(Sample("probe_last_duration_seconds", place, result.duration))
    return learnt


async def scraped(prober: Prober, target: Target, check: CheckConfig, wanted: Wanted) -> Outcome:
    """Reads the target's own metrics page; keeps the series that an objective reads."""
    page = await scrape(prober, _request(target, check), wanted)
    if (nothing := _nothing_learnt(check, page.result)) is not None:
        return nothing
    reason = page.result.reason or (Reason.BODY if page.error else OK)
    return Outcome(check.name, reason, page.error or page.result.detail, page.result, page.samples)


PROBES: dict[str, Probe] = {"http": http, "scrape": scraped}


def _request(target: Target, check: CheckConfig) -> Request:
    return dataclasses.replace(check.request, url=target.url + check.path)


def _nothing_learnt(check: CheckConfig, result: Result) -> Outcome | None:
    """An answer that failed, and says nothing about the target. A 429 is one however its body ended."""
    if result.success:
        return None
    if result.status == 429:
        return _throttled(check, result)
    given_back = check.request.timeout if result.reason is Reason.TIMEOUT else 0.0
    if result.stalled >= max(LONG_STALL, given_back):
        still = f"the agent itself stood still for {format_duration(result.stalled)}"
        return stalled(check.name, result, still)
    return None


def stalled(check: str, result: Result, why: str) -> Outcome:
    """What looks like the target's failure may be ours."""
    return Outcome(check, STALLED, f"{why}; it saw: {result.detail}", result, [])


def _throttled(check: CheckConfig, result: Result) -> Outcome:
    asked = DEFAULT_BACK_OFF if result.retry_after is None else result.retry_after
    detail = f"429: asked to wait {format_duration(asked)}"
    return Outcome(check.name, THROTTLED, detail, result, [], back_off=min(asked, MAX_BACK_OFF))

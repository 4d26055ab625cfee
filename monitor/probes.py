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

THROTTLED = "throttled"
OK = "ok"
DEFAULT_BACK_OFF = 60.0
MAX_BACK_OFF = 600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is "ok", "throttled" or an `exporters.http.Reason`; no `samples`: nothing was learnt.

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


Wanted = Callable[[str], bool]
Probe = Callable[[Prober, Target, CheckConfig, Wanted], Awaitable[Outcome]]


async def http(prober: Prober, target: Target, check: CheckConfig, _: Wanted) -> Outcome:
    """Did the API answer as expected, and how quickly. 429 means "slow down", never "down"."""
    result = await prober.probe(_request(target, check))
    if result.status == 429 and result.reason is Reason.STATUS:
        return _throttled(check, result)
    return Outcome(check.name, result.reason or OK, result.detail, result, _learnt(target, check, result))


def _learnt(target: Target, check: CheckConfig, result: Result) -> list[Sample]:
    """Nothing about the target's speed, nor about a missed deadline, while our own event loop stood still."""
    place = labels(target=target.name, check=check.name)
    if result.reason is Reason.TIMEOUT and result.stalled:
        return []
    learnt = [Sample("probe_success", place, float(result.success))]
    if result.certificate_expires is not None:
        learnt.append(Sample("probe_certificate_expiry_timestamp_seconds", place, result.certificate_expires))
    if result.success and not result.stalled:
        learnt.append(Sample("probe_last_duration_seconds", place, result.duration))
    return learnt


async def scraped(prober: Prober, target: Target, check: CheckConfig, wanted: Wanted) -> Outcome:
    """Reads the target's own metrics page; keeps the series that an objective reads."""
    page = await scrape(prober, _request(target, check), wanted)
    if page.result.status == 429 and page.result.reason is Reason.STATUS:
        return _throttled(check, page.result)
    reason = page.result.reason or (Reason.BODY if page.error else OK)
    return Outcome(check.name, reason, page.error or page.result.detail, page.result, page.samples)


PROBES: dict[str, Probe] = {"http": http, "scrape": scraped}


def _request(target: Target, check: CheckConfig) -> Request:
    return dataclasses.replace(check.request, url=target.url + check.path)


def _throttled(check: CheckConfig, result: Result) -> Outcome:
    asked = DEFAULT_BACK_OFF if result.retry_after is None else result.retry_after
    detail = f"429: asked to wait {asked:g} s"
    return Outcome(check.name, THROTTLED, detail, result, [], back_off=min(asked, MAX_BACK_OFF))

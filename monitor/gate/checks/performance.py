"""How quick it is, as claims about shares of requests: slow, failed and timed out are all bad.

A p95 below a limit says that fewer than one in twenty requests are bad, a median that fewer than half are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from exporters.http import Request
from monitor.gate.config import Claim as Kept
from monitor.gate.config import GateConfig, Profile
from monitor.gate.found import Found, not_configured
from monitor.gate.plan import TOGETHER
from monitor.gate.plan import Claim as Planned
from monitor.gate.sample import WARM_UP, Answer, Claim
from monitor.gate.sampling import Next, asking, at_most, fixed, judged, taking_turns, uploading
from monitor.gate.sequential import planned
from monitor.slis import GaugeQuantile, Quantile, Ratio

if TYPE_CHECKING:
    from monitor.gate.run import Run

MEDIAN = 0.5
MANY = 10_000
PAUSE = 0.1
"""Seconds between looks at /health: spread out, they see more than one moment."""
PATIENCE = 10.0
"""Seconds for each answer, or a little more than the limit where that is longer."""
AT_ONCE = 10
PAGE = 16 * 1_048_576
BURST = "burst"
BY_TURNS = ("latency-p95", "error-rate")
"""They look at the same requests."""


async def by_turns(run: Run) -> Found:
    """Those of the two that the profile has are judged together, when the first of them is asked for."""
    if run.claim.check not in run.sampled:
        names = [name for name in BY_TURNS if name in run.profile.checks]
        claims = {name: _claim(run, run.config.claims[name]) for name in names}
        slowest = max((each.slow for each in claims.values() if math.isfinite(each.slow)), default=0.0)
        turns = await taking_turns(run, run.config.requests, _patience(slowest))

        def heard(answer: Answer) -> None:
            run.timings.hear(turns.kind(answer), answer)

        run.sampled |= await judged(run, turns, claims, heard=heard)
    return run.sampled[run.claim.check]


def _claim(run: Run, kept: Kept) -> Claim:
    test = planned(_share(kept))
    if kept.check in BY_TURNS:
        test = at_most(test, run.profile.samples)
    counts_errors = kept.objective is not None and isinstance(kept.objective.sli, Ratio)
    return Claim(test) if counts_errors else Claim(test, slow=kept.value)


def claims_of(config: GateConfig, profile: Profile, seconds: float) -> list[Planned]:
    """What a profile samples, if a request takes so long; what looks at the same requests is one of them."""
    turns = [name for name in BY_TURNS if name in profile.checks]
    groups = [turns, *([name] for name in ("health-latency", "ten-thousand-rows", "home-page"))]
    planned_ = [
        Planned(TOGETHER.join(names), min(_share(config.claims[name]) for name in names), seconds)
        for names in groups
        if names and set(names) <= set(profile.checks)
    ]
    if BURST in profile.checks:
        planned_.append(Planned(BURST, config.claims[BURST].value, seconds / AT_ONCE))
    return planned_


def _share(kept: Kept) -> float:
    """Of all requests, that must not be bad."""
    sli = kept.objective.sli if kept.objective else None
    if isinstance(sli, Ratio):
        return kept.value
    return round(1 - sli.q, 9) if isinstance(sli, Quantile | GaugeQuantile) else MEDIAN


async def health_latency(run: Run) -> Found:
    request = asking(run, "GET /health", "", _patience(run.claim.value))
    return await _judged(run, fixed("GET /health", request, PAUSE))


async def burst(run: Run) -> Found:
    """Ten at a time: what only shows when requests meet each other. `by_turns` asks one after the other."""
    claims = {run.claim.check: Claim(planned(run.claim.value))}
    following = await taking_turns(run, run.config.requests, PATIENCE)
    return (await judged(run, following, claims, at_once=AT_ONCE))[run.claim.check]


async def large(run: Run) -> Found:
    token = await run.journey.token()

    async def following() -> tuple[str, Request]:
        what = f"an upload of {MANY:,} rows"
        return what, uploading(run, token, _patience(run.claim.value), MANY)

    return await _judged(run, following, warm_up=1)


async def home_page(run: Run) -> Found:
    if not run.config.frontend:
        return not_configured("`frontend` is not set in gate.yml")
    request = Request(
        f"{run.config.frontend}/",
        timeout=_patience(run.claim.value),
        max_redirects=5,
        max_body=PAGE,
        ca_file=run.ca_file,
    )
    return await _judged(run, fixed("GET / of the frontend", request))


async def _judged(run: Run, following: Next, warm_up: int = WARM_UP) -> Found:
    name = run.claim.check
    return (await judged(run, following, {name: _claim(run, run.claim)}, warm_up))[name]


def _patience(limit: float) -> float:
    return max(PATIENCE, 1.25 * limit)

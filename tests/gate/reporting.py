"""A report with everything in it, and what targets say to break a report."""

from __future__ import annotations

import dataclasses

from monitor.gate.model import CLEAN_UP, Asked, Cause, Evidence, Exit, Report, Result, Waiver
from monitor.gate.run import NOTHING_JUDGED
from monitor.gate.sequential import Verdict

BEGAN = 1_795_780_800.0
HOSTILE = (
    "said \x1b[2J<script>alert(1)</script> | [click](http://evil) `x` ]]> \"'&\x00\r\n::error::boo\n# heading"
)
WAIVER = Waiver("memory-leak", "ann", "fixed in 2.4, issue 12", BEGAN + 86400)
EXPIRED = Waiver("cors-origins", "bob", "until the frontend moves", BEGAN - 86400)
SLOW = Asked(
    "GET /clients",
    200,
    3.42,
    "4f1c9d",
    phases={"dns": 0.002, "connect": 0.01, "tls": 0.03, "first_byte": 3.3, "transfer": 0.078},
)
P95 = Result(
    check="latency-p95",
    group="performance",
    claim="p95 below 3 s",
    verdict=Verdict.FAIL,
    said="14 of 60 requests took 3 s or more",
    evidence=Evidence(bad=14, of=60, bound=0.149, limit=0.05),
    where="alerts/objectives.yml:69",
    document="§9.2: p95 above 3 s",
    runbook="docs/runbooks/latency-p95.md",
    asked=(SLOW, dataclasses.replace(SLOW, seconds=3.1, request_id="aa07")),
    seconds=31.5,
)
ERRORS = Result(
    check="error-rate",
    group="performance",
    claim="fewer than 5 % of requests fail",
    verdict=Verdict.INCONCLUSIVE,
    said="too few requests",
    cause=Cause.TOO_FEW,
    evidence=Evidence(bad=0, of=60, bound=0.0487, limit=0.05),
    where="alerts/objectives.yml:85",
    missing=34,
    seconds=30.0,
)
LEAK = Result(
    check="memory-leak",
    group="performance",
    claim="memory grows by less than 1 MB a minute",
    verdict=Verdict.FAIL,
    said="it grows",
    evidence=Evidence(source="prometheus", value="1.3 MB/min", threshold="above 1 MB/min", window=600.0),
    waiver=WAIVER,
)
POOL = Result(
    check="pool-usage",
    group="state",
    claim="less than 80 % of the pool in use",
    verdict=Verdict.FAIL,
    said="",
    evidence=Evidence(source="prometheus", value="100 %", threshold="above 80 %", window=300.0),
    where="alerts/objectives.yml:104",
    runbook="docs/runbooks/pool-usage.md",
)
HOME = Result(
    check="home-page",
    group="performance",
    claim="the home page loads in under 2 s",
    verdict=None,
    said="frontend is not configured",
    where="alerts/gate.yml:41",
)
LOG_IN = Result(
    check="log-in",
    group="functional",
    claim="a user can log in",
    verdict=Verdict.PASS,
    said="logged in",
    where="alerts/gate.yml:20",
    document="§16.1",
    seconds=0.3,
)
CORS = Result(
    check="cors-origins",
    group="security",
    claim="other origins are refused",
    verdict=Verdict.FAIL,
    said=f"the answer {HOSTILE}",
    where="alerts/gate.yml:77",
    asked=(Asked("OPTIONS /clients", 200, 0.012, "77", detail=HOSTILE),),
)
TLS = Result(
    check="tls-version",
    group="security",
    claim="TLS 1.2 or newer",
    verdict=Verdict.INCONCLUSIVE,
    said="no answer on port 443",
    cause=Cause.SOURCE_ERROR,
)
HSTS = dataclasses.replace(LOG_IN, check="hsts", group="security", claim="HSTS is sent", said="sent")


def report(*results: Result, **more: object) -> Report:
    fields = {
        "target": "https://api.paciolus.com",
        "profile": "post-deploy",
        "began": BEGAN,
        "ended": BEGAN + 48.25,
        "results": results,
        "requests": 312,
        **more,
    }
    return Report(**fields)  # type: ignore[arg-type]


EVERYTHING = report(
    LOG_IN,
    CORS,
    TLS,
    HSTS,
    P95,
    ERRORS,
    LEAK,
    HOME,
    POOL,
    retries=2,
    stalled=0.4,
    versions=("2.4.0",),
    waivers=(WAIVER, EXPIRED),
)
GOOD = report(LOG_IN, HSTS, HOME)
CASES: dict[Exit, Report] = {
    Exit.PASS: GOOD,
    Exit.FAIL: EVERYTHING,
    Exit.INCONCLUSIVE: report(LOG_IN, ERRORS),
    Exit.UNREACHABLE: report(dataclasses.replace(ERRORS, cause=Cause.TARGET_DOWN)),
    Exit.ERROR: report(dataclasses.replace(ERRORS, cause=Cause.SOURCE_ERROR)),
    Exit.INTERRUPTED: report(LOG_IN, interrupted=True),
}
NOT_JUDGED = report(HOME, NOTHING_JUDGED, dataclasses.replace(LOG_IN, check=CLEAN_UP))

"""One run of the gate: the checks of a profile in turn, within their time and requests, then cleaning up.

Fail closed: what goes wrong with a check is a result with a cause, and none of those passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from exporters.curl_loop import Stalls
from exporters.http import Prober
from monitor.gate.asking import TIMEOUT, Asker, NoAnswerError, OutOfBudgetError, UnreachableError
from monitor.gate.baseline import Baseline, Beside
from monitor.gate.checks import CHECKS, past
from monitor.gate.config import Claim, GateConfig, Metrics, Profile
from monitor.gate.found import Check, Found, both, failed, unknown
from monitor.gate.journey import Journey, StepFailedError
from monitor.gate.model import CLEAN_UP, Cause, Report, Result
from monitor.gate.progress import Progress, Silent
from monitor.gate.routes import Routes
from monitor.gate.scraping import Scraping
from monitor.gate.sequential import Verdict
from monitor.gate.source import HISTORY, Source, SourceError
from monitor.gate.source import source as source_of
from monitor.gate.timings import Timings
from monitor.quantity import format_duration

CLEANING = 20.0
"""Seconds that cleaning up may take beyond the time of the run."""
KEPT = 1.0
"""Seconds for a connection without requests: less than servers wait, who hang up while something is sent."""
DEAF_AFTER = 3
"""Requests in a row without an answer, after which nothing else is asked."""
AGAIN = 5.0
"""Seconds between two looks at what nobody knows."""
NOTHING_JUDGED = Result(
    "evidence",
    "functional",
    "at least one check is judged",
    Verdict.INCONCLUSIVE,
    "no check of this profile was judged, so nothing is known of the target; each says what it lacks",
    Cause.NO_SAMPLES,
)


@dataclass(slots=True)
class Run:
    """What checks need. `clock` gives seconds since the epoch; `deadline` is one of the event loop's."""

    target: str
    config: GateConfig
    profile: Profile
    progress: Progress
    clock: Callable[[], float]
    deadline: float
    asker: Asker
    prober: Prober
    journey: Journey
    scraping: Scraping
    routes: Routes
    source: Source | None = None
    """What judges objectives in place of the gate's own probes."""
    past: Source | None = None
    """What knows more than a few minutes."""
    baseline: Baseline | None = None
    beside: Beside | None = None
    """The service at the baseline's URL."""
    timings: Timings = field(default_factory=Timings)
    claim: Claim = field(default_factory=lambda: Claim("", "", ""))
    """Of the check that is asked for."""
    sampled: dict[str, Found] = field(default_factory=dict)
    """Of checks that were judged together with another one."""

    @property
    def judges_edge(self) -> bool:
        """Whether the target is what strangers see, and not a process behind a proxy of its own."""
        return self.config.edge == "always" or self.secure or not is_loopback(self.target)

    @property
    def secure(self) -> bool:
        return self.target.startswith("https:")

    @property
    def ca_file(self) -> str | None:
        return self.config.ca_file or None

    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


async def gate(
    target: str,
    config: GateConfig,
    profile: Profile,
    *,
    source: Source | None = None,
    baseline: Baseline | None = None,
    wait: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Never raises. Cancelled, it cleans up and says so in the report.

    `source`: what judges objectives, if not our own asking. `baseline`: what it must not be worse than.
    `wait`: what nobody knows is asked again, and a target that does not answer too, until the time is over.
    """
    began, results = clock(), list[Result]()
    prepared = _prepared(target, config, profile, source, baseline, progress or Silent(), clock)
    async with prepared as (run, stalls):
        interrupted = False
        try:
            await _judge(run, results, wait=wait)
        except asyncio.CancelledError:
            interrupted = True
        results += await _cleaned(run)
        return Report(
            target,
            profile.name,
            began,
            clock(),
            tuple(results),
            requests=run.asker.requests,
            retries=run.asker.retries,
            stalled=stalls.seconds(),
            interrupted=interrupted,
            versions=run.scraping.versions,
            timed=run.timings.timed(),
        )


@contextlib.asynccontextmanager
async def _prepared(
    target: str,
    config: GateConfig,
    profile: Profile,
    source: Source | None,
    baseline: Baseline | None,
    progress: Progress,
    clock: Callable[[], float],
) -> AsyncIterator[tuple[Run, Stalls]]:
    loop = asyncio.get_running_loop()
    stalls = Stalls(loop)
    other = _service_of(baseline, config, profile)
    async with _client(target, config) as client, other as beside, Prober() as prober:
        asker = Asker(client, profile.max_requests)
        journey = Journey(asker, config.account)
        metrics = config.metrics if config.metrics.url else Metrics(f"{target}/metrics", config.metrics.token)
        scraping = Scraping(prober, metrics, config.objectives, config.ca_file, clock)
        run = Run(
            target,
            config,
            profile,
            progress,
            clock,
            loop.time() + profile.max_time,
            asker,
            prober,
            journey,
            scraping,
            Routes(asker, config.protected),
            source,
            source or _history(config),
            baseline,
            beside,
        )
        looking = asyncio.create_task(scraping.go_on())
        try:
            yield run, stalls
        finally:
            looking.cancel()
            stalls.stop()


@contextlib.asynccontextmanager
async def _service_of(
    baseline: Baseline | None, config: GateConfig, profile: Profile
) -> AsyncIterator[Beside | None]:
    if baseline is None or not baseline.url:
        yield None
        return
    async with _client(baseline.url, config) as client:
        asker = Asker(client, profile.max_requests)
        yield Beside(baseline.url, asker, Journey(asker, config.account), config.ca_file or None)


def _client(url: str, config: GateConfig) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        timeout=TIMEOUT,
        trust_env=False,
        verify=_trusted(config.ca_file),
        follow_redirects=False,
        limits=httpx.Limits(keepalive_expiry=KEPT),
    )


async def _judge(run: Run, results: list[Result], *, wait: bool) -> None:
    down = await _is_down(run)
    while down is not None and wait and run.left() > AGAIN:
        await asyncio.sleep(AGAIN)
        down = await _is_down(run)
    if down is not None:
        results.append(down)
        return
    for name in run.profile.checks:
        run.progress.began(name)
        result = await _asked(name, run)
        results.append(result)
        run.progress.ended(name, [result])
    if wait:
        await _until_known(run, results)
    if all(each.verdict is None for each in results):
        results.append(NOTHING_JUDGED)


async def _until_known(run: Run, results: list[Result]) -> None:
    """Asks again for what nobody knows, while there is time and there are requests."""
    while run.left() > AGAIN and run.asker.left > 0:
        open_ = [index for index, each in enumerate(results) if each.verdict is Verdict.INCONCLUSIVE]
        if not open_:
            return
        await asyncio.sleep(AGAIN)
        for index in open_:
            run.sampled.pop(results[index].check, None)
            results[index] = await _asked(results[index].check, run)


async def _is_down(run: Run) -> Result | None:
    """What does not accept a connection, or never answers, is not asked forty times more."""
    found = await _no_answer(run)
    if found is None:
        return None
    return Result(
        "reachable",
        "functional",
        "the target answers",
        found.verdict,
        found.said,
        found.cause,
        asked=found.asked,
    )


async def _no_answer(run: Run) -> Found | None:
    unanswered: list[NoAnswerError] = []
    while len(unanswered) < DEAF_AFTER:
        try:
            async with asyncio.timeout_at(run.deadline):
                await run.asker.ask("GET", "/health")
        except NoAnswerError as error:
            unanswered.append(error)
        except UnreachableError as error:
            return unknown(Cause.TARGET_DOWN, f"{run.target} does not answer: {error}")
        except (OutOfBudgetError, TimeoutError):
            return None
        else:
            return None
    said = f"{run.target} is connected to, and answered none of {DEAF_AFTER} requests: {unanswered[-1]}"
    return failed(said, *(each.asked for each in unanswered))


async def _asked(name: str, run: Run) -> Result:
    check = CHECKS[name]
    run.claim = run.config.claims[name]
    began = time.monotonic()
    # Not only cancelled when the time is over: it would have begun to ask by then.
    found = await _found(name, check, run) if run.left() else _late(run)
    return result_of(name, check, run.claim, found, time.monotonic() - began)


def result_of(name: str, check: Check, claim: Claim, found: Found, took: float) -> Result:
    return Result(
        check=name,
        group=check.group,
        claim=check.claim.format(limit=claim.limit),
        verdict=found.verdict,
        said=found.said,
        cause=found.cause,
        evidence=found.evidence,
        where=claim.where,
        document=claim.document,
        runbook=claim.objective.runbook if claim.objective else "",
        missing=found.missing,
        asked=found.asked,
        seconds=found.seconds or took,
    )


async def _found(name: str, check: Check, run: Run) -> Found:
    try:
        async with asyncio.timeout_at(run.deadline):
            return await (past.objective if run.source and check.known_elsewhere else check.ask)(run)
    except StepFailedError as error:
        if error.step == name:
            return failed(str(error), error.asked)
        return unknown(Cause.NO_SAMPLES, f"not asked, since {error.step} failed: {error}")
    except NoAnswerError as error:
        return failed(str(error), error.asked)
    except UnreachableError as error:
        return unknown(Cause.TARGET_DOWN, f"no connection any more: {error}")
    except OutOfBudgetError:
        allowed = f"all {run.asker.most:,} requests that were allowed are spent"
        return unknown(Cause.TOO_FEW, f"{allowed}; allow more with --max-requests")
    except TimeoutError:
        return _late(run)
    except SourceError as error:
        return unknown(Cause.SOURCE_ERROR, str(error))
    except Exception as error:  # noqa: BLE001 - a defect of ours must not look like a pass, nor hide the rest
        return unknown(Cause.SOURCE_ERROR, f"the gate itself failed: {type(error).__name__}: {error}")


def _late(run: Run) -> Found:
    allowed = format_duration(run.profile.max_time)
    return unknown(Cause.TOO_FEW, f"out of time after {allowed}; allow more with --max-time")


async def _cleaned(run: Run) -> list[Result]:
    """Shielded: a second Ctrl-C must not leave an account behind."""
    if CLEAN_UP not in run.config.claims:
        return []
    try:
        async with asyncio.timeout(CLEANING):
            found = await run.journey.clean_up()
            if run.beside is not None:
                found = both(found, await run.beside.journey.clean_up(), "on the baseline")
    except TimeoutError:
        found = failed(f"not finished within {format_duration(CLEANING)}")
    return [result_of(CLEAN_UP, CHECKS[CLEAN_UP], run.config.claims[CLEAN_UP], found, 0.0)]


def _history(config: GateConfig) -> Source | None:
    return source_of(HISTORY, "", config) if config.database else None


def shortened(profile: Profile, max_time: float | None, max_requests: int | None) -> Profile:
    """With what the command line says instead."""
    return dataclasses.replace(
        profile,
        max_time=profile.max_time if max_time is None else max_time,
        max_requests=profile.max_requests if max_requests is None else max_requests,
    )


def _trusted(ca_file: str) -> ssl.SSLContext:
    """The system's certificates, as the prober does, unless there is a file."""
    return ssl.create_default_context(cafile=ca_file or None)


def is_loopback(target: str) -> bool:
    host = urlsplit(target).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

"""§17.1, database connection failed: what the API itself says of it, on /health/ready and on /metrics."""

from __future__ import annotations

import math
from functools import partial

from exporters.http import Request
from exporters.sample import Sample
from exporters.scrape import scrape
from monitor.doctor import facts
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import Visit, short

SECTION = "§17.1"
TIMEOUT = 5.0
LARGEST_PAGE = 8 * 1024 * 1024
"""Bytes."""
TRY_IT = Step(
    "Let the doctor try the database itself, from where the API runs (its shell has the variable):",
    "DATABASE_URL=postgresql://... paciolus-monitor doctor URL",
)
WHO_HOLDS = Step(
    "See who holds the connections, and since when:",
    'psql "$DATABASE_URL" -c "SELECT application_name, state, count(*),\n'
    '  max(now() - state_change) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC"',
)
SMALLER_POOLS = Step(
    "Make the pools smaller, and restart the backend; four workers then need 40:",
    "DB_POOL_SIZE=5 DB_MAX_OVERFLOW=5",
)
TO_READ_METRICS = "give --metrics, where the API's numbers are, and GATE_METRICS_TOKEN if that wants one"


async def refused(visit: Visit) -> Outcome:
    return await _says(
        visit,
        "Connection refused",
        "Nothing listens where DATABASE_URL leads: the database is stopped, or host or port are wrong.",
        Step("Is it running? Render: Dashboard, paciolus-db. DigitalOcean: Databases."),
        Step(
            "Compare host and port with those that the dashboard shows:",
            "DATABASE_URL=postgresql://user:password@host:5432/paciolus",
        ),
        TRY_IT,
    )


async def full(visit: Visit) -> Outcome:
    return await _says(
        visit,
        "too many clients",
        "The database takes no more connections (max_connections): instances x workers x (DB_POOL_SIZE + "
        "DB_MAX_OVERFLOW) is more than it has, or something else holds them.",
        WHO_HOLDS,
        SMALLER_POOLS,
    )


async def starting(visit: Visit) -> Outcome:
    return await _says(
        visit,
        ("is starting up", "is shutting down"),
        "The database is just starting or stopping: a restart, maintenance of the provider, or recovery "
        "after a crash.",
        Step("Wait two to five minutes; the API comes back by itself. Still so: the provider's status page."),
    )


async def pool_exhausted(visit: Visit) -> Outcome:
    return await _says(
        visit,
        "no free connection",
        "All connections of the API's own pool are in use: slow statements, transactions that nobody "
        "ended, or more traffic than DB_POOL_SIZE + DB_MAX_OVERFLOW are enough for.",
        WHO_HOLDS,
        Step(
            "Forgotten transactions: restart it. Traffic: more connections, after the sum in "
            "docs/database.md:",
            "DB_POOL_SIZE=20",
        ),
        Step("The rest is in", "docs/runbooks/pool-usage.md"),
    )


async def silent(visit: Visit) -> Outcome:
    return await _says(
        visit,
        "no answer within",
        "The database does not answer in time: a firewall swallows the connection, the address is of a "
        "machine that is gone, or the database is overloaded, locked or frozen.",
        Step("Allow the API's network in the database's rules (trusted sources), and its region."),
        Step("Is its CPU, memory or disk used up? Render, DigitalOcean: the database's metrics."),
        TRY_IT,
    )


async def no_tables(visit: Visit) -> Outcome:
    return await _says(
        visit,
        "tables are not made",
        "The database is there, and its tables are not: they are just being made, or the user may not "
        "make them.",
        Step(
            "See where it is, and bring it up to date:",
            "python -m app.migrate current && python -m app.migrate upgrade",
        ),
        TRY_IT,
    )


async def otherwise(visit: Visit) -> Outcome:
    """What the API keeps to itself, since anybody may ask."""
    answer = await facts.ready(visit)
    if answer.status in (404, 405):
        raise NotLookedError("this API has no /health/ready, so it says nothing of its database")
    if answer.broken or not isinstance(answer.json(), dict):
        raise NotLookedError(f"of its database the API says nothing ({answer.said()})")
    if answer.status < 300:
        return Fine("the API says that it is ready")
    if any(each in _reason(answer.field("reason")) for each in KNOWN):
        return None
    return trouble(
        f"{answer.said()}: {short(_reason(answer.field('reason')) or 'no reason given')}",
        "The API cannot use its database, and does not say why to strangers. With OperationalError it is "
        "most often DATABASE_URL: user, password, name of the database, or TLS; or its host is not known "
        "there.",
        Step("Its log says it whole; look for CRITICAL:", "render logs --service paciolus-api --tail"),
        TRY_IT,
        section=SECTION,
    )


async def pool_usage(visit: Visit) -> Outcome:
    """By the objective that pages, and by whoever waits."""
    samples = await _metrics(visit)
    size, used = _sum(samples, "db_pool_size"), _sum(samples, "db_pool_checked_out")
    waiting = _sum(samples, "db_pool_waiters") or 0.0
    if not size or used is None or not math.isfinite(size):
        raise NotLookedError("the metrics say nothing of a database pool")
    objective = visit.patient.config.objectives.by_name("pool-usage")
    usage = used / size
    if not objective.breach.broken_by(usage) and not waiting:
        return Fine(f"{used:g} of {size:g} connections of the pool are in use")
    return trouble(
        f"{used:g} of {size:g} connections of the pool are in use ({objective.breach.shown(usage)}), "
        f"{waiting:g} callers wait",
        "The API's pool is nearly full, or beyond its size already: next come waiting and then errors.",
        WHO_HOLDS,
        Step("The rest is in", objective.runbook),
        section=SECTION,
    )


async def _says(visit: Visit, words: str | tuple[str, ...], cause: str, *cure: Step) -> Outcome:
    answer = await facts.ready(visit)
    reason = _reason(answer.field("reason"))
    if answer.status < 400 or not any(
        each in reason for each in ((words,) if isinstance(words, str) else words)
    ):
        return None
    return trouble(f"{answer.said()}: {short(reason)}", cause, *cure, section=SECTION)


KNOWN = (
    "Connection refused",
    "too many clients",
    "is starting up",
    "is shutting down",
    "no free connection",
    "no answer within",
    "tables are not made",
    "shutting down",
)


def _reason(said: object) -> str:
    return said if isinstance(said, str) else ""


async def _metrics(visit: Visit) -> list[Sample]:
    await facts.healthy(visit)
    return await visit.once("metrics", partial(_scraped, visit))


async def _scraped(visit: Visit) -> list[Sample]:
    patient = visit.patient
    visit.spend()
    headers = (("Authorization", f"Bearer {patient.metrics_token}"),) if patient.metrics_token else ()
    url = patient.metrics or f"{patient.target}/metrics"
    request = Request(
        url, headers=headers, timeout=TIMEOUT, max_body=LARGEST_PAGE, ca_file=patient.config.ca_file or None
    )
    page = await scrape(visit.prober, request, lambda name: name.startswith("db_pool_"))
    if page.error is not None:
        raise NotLookedError(f"metrics: {short(page.error)}", TO_READ_METRICS)
    return page.samples


def _sum(samples: list[Sample], name: str) -> float | None:
    found = [each.value for each in samples if each.name == name]
    return sum(found) if found else None

"""§17.1, database connection failed: tried from here, phase by phase, when DATABASE_URL is given."""

from __future__ import annotations

from functools import partial

from monitor.doctor import facts
from monitor.doctor.database import PORT, TABLES, Attempt, Refusal, attempt
from monitor.doctor.dialling import Line
from monitor.doctor.kinds.database_url import OLD_NAME, POSTGRESQL, SECTION, url
from monitor.doctor.kinds.ready import SMALLER_POOLS, WHO_HOLDS
from monitor.doctor.model import Fine, NotLooked, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import Visit, short

DASHBOARD = Step("Copy it afresh from the dashboard (Render: the internal URL), and restart the backend.")


async def no_name(visit: Visit) -> Outcome:
    tried = await _attempt(visit)
    if tried.line is not Line.NO_NAME:
        return None
    return trouble(
        f"{tried.shown}: {Line.NO_NAME}",
        "The host in DATABASE_URL is not known here: mistyped, or an internal name that only services of "
        "the same provider and region know.",
        Step(
            "The API runs on another machine? Then take the external URL here; the internal one is for there."
        ),
        DASHBOARD,
        section=SECTION,
    )


async def refused(visit: Visit) -> Outcome:
    tried = await _attempt(visit)
    if tried.line is not Line.REFUSED:
        return None
    return trouble(
        f"{tried.shown}: {tried.line}",
        "The machine is there, and no database listens on that port: it is stopped, or host or port are "
        "wrong.",
        Step("Is it running? Render: Dashboard, paciolus-db. DigitalOcean: Databases."),
        Step("Which port has it? PostgreSQL's own is:", f"{PORT}"),
        DASHBOARD,
        section=SECTION,
    )


async def swallowed(visit: Visit) -> Outcome:
    tried = await _attempt(visit)
    if tried.line not in (Line.SILENT, Line.NO_ROUTE):
        return None
    return trouble(
        f"{tried.shown}: {tried.line}",
        "A firewall swallows the connection, or the address is of a machine that is gone.",
        Step(
            "Allow this machine's address. DigitalOcean: Databases, Trusted Sources. Render: Access Control."
        ),
        Step("Internal addresses are for the same network and region; from elsewhere take the external URL."),
        section=SECTION,
    )


async def tls(visit: Visit) -> Outcome:
    tried = await _attempt(visit)
    if tried.refusal is not Refusal.TLS:
        return None
    offered = tried.handshake is not None and bool(tried.handshake.version)
    return trouble(
        (f"{tried.shown}: {short(tried.error, 160)}", f"TLS is {'' if offered else 'not '}offered there"),
        "The two sides do not agree on TLS: the URL wants it and the server has none, or the server's "
        "certificate is not one that sslmode and sslrootcert in the URL accept.",
        Step("With TLS, whoever vouches for it:", "DATABASE_URL=...?sslmode=require")
        if offered
        else Step("Without TLS, inside one network only:", "DATABASE_URL=...?sslmode=prefer"),
        section=SECTION,
    )


async def password(visit: Visit) -> Outcome:
    return await _refusal(
        visit,
        Refusal.PASSWORD,
        "User or password in DATABASE_URL are wrong (PostgreSQL says the same to both): changed at the "
        "database and not in the backend's environment, or a character in it is not in percent notation.",
    )


async def user(visit: Visit) -> Outcome:
    return await _refusal(visit, Refusal.USER, "There is no such user in this database server.")


async def name(visit: Visit) -> Outcome:
    tried = await _attempt(visit)
    return await _refusal(
        visit,
        Refusal.NAME,
        "The server is there and the log-in is right, and it has no database "
        f"{short(str(tried.url.database), 40)!r}: mistyped, or never made.",
        Step("See which there are:", 'psql "$DATABASE_URL" -d postgres -l'),
    )


async def not_allowed(visit: Visit) -> Outcome:
    return await _refusal(
        visit,
        Refusal.NOT_ALLOWED,
        "The server does not let this user in from this address, or not without TLS (pg_hba.conf, trusted "
        "sources).",
        Step("Allow the address at the provider, or ask for TLS:", "DATABASE_URL=...?sslmode=require"),
    )


async def full(visit: Visit) -> Outcome:
    return await _refusal(
        visit,
        Refusal.FULL,
        "All connections that the server takes (max_connections) are in use: instances x workers x "
        "(DB_POOL_SIZE + DB_MAX_OVERFLOW) is more than it has, or something else holds them.",
        WHO_HOLDS,
        SMALLER_POOLS,
    )


async def starting(visit: Visit) -> Outcome:
    return await _refusal(
        visit,
        Refusal.STARTING,
        "The database is just starting, stopping or recovering after a crash.",
        Step("Wait two to five minutes. Still so: the provider's status page, and the database's log."),
    )


async def otherwise(visit: Visit) -> Outcome:
    tried = await _attempt(visit)
    if tried.entered and not tried.error:
        tls_too = ", with TLS" if tried.handshake and tried.handshake.version else ""
        return Fine(f"{tried.shown} is reached from here{tls_too}, and lets the user in")
    if tried.error and tried.entered:
        return NotLooked(f"{tried.shown} let the user in, and then: {short(tried.error, 160)}")
    if tried.refusal is not Refusal.OTHER:
        return None
    return trouble(
        f"{tried.shown}: {short(tried.error, 160)}",
        "The connection is accepted, and what comes then is no log-in: another service listens on that "
        "port, the server hangs, or it dies of the request.",
        Step("Which port is the database's? See it yourself:", 'psql "$DATABASE_URL" -c "SELECT 1"'),
        DASHBOARD,
        section=SECTION,
    )


async def permissions(visit: Visit) -> Outcome:
    tried = await _entered(visit)
    closed, tables = tried.facts.get("closed") or [], tried.facts.get("tables", 0)
    may_not_make = not tables and not tried.facts.get("may_create")
    if not closed and not may_not_make:
        return Fine(f"its user may read and write the tables ({tables} of {len(TABLES)} are there)")
    saw = (
        f"may not read and write {', '.join(map(str, closed))}"
        if closed
        else "may make no tables, and there are none"
    )
    return trouble(
        f"{tried.shown}: the user {saw}",
        "The tables belong to another user: they were made, or restored from a backup, under another name.",
        Step(
            "As the owner, let it:",
            f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{short(str(tried.url.username), 40)}";',
        ),
        Step(
            "And to make tables:",
            f'GRANT CREATE, USAGE ON SCHEMA public TO "{short(str(tried.url.username), 40)}";',
        ),
        section=SECTION,
    )


async def read_only(visit: Visit) -> Outcome:
    tried = await _entered(visit)
    if not tried.facts.get("read_only"):
        return None
    return trouble(
        f"{tried.shown}: it can only be read",
        "This is a replica, or the provider has closed the database for writing, as when its disk is full.",
        Step("Replica: DATABASE_URL must name the primary. Disk full: enlarge it, or make room."),
        section="§8.3",
    )


async def room(visit: Visit) -> Outcome:
    """By the share that the pool's objective allows."""
    tried = await _entered(visit)
    used, most = tried.facts.get("connections", 0), tried.facts.get("most_connections", 0)
    objective = visit.patient.config.objectives.by_name("pool-usage")
    if not most or not objective.breach.broken_by(used / most):
        return Fine(f"{used} of {most} connections of the server are in use")
    return trouble(
        f"{used} of {most} connections of the server are in use",
        "The server will soon take no more connections: pools are too large together, or something else "
        "holds many.",
        WHO_HOLDS,
        section=SECTION,
    )


async def reached_from_here_alone(visit: Visit) -> Outcome:
    tried = await _entered(visit)
    answer = await facts.ready(visit)
    if answer.status < 500 or not str(answer.field("reason")).startswith("database: "):
        return None
    if "no free connection" in str(answer.field("reason")):
        return None
    return trouble(
        (
            f"{tried.shown} lets the user in from here",
            f"{answer.said()}: {short(str(answer.field('reason')))}",
        ),
        "The database works, and the API does not reach it: the API has another DATABASE_URL than the "
        "doctor, or a firewall lets this machine through and not the API's.",
        Step(
            "Compare them without showing the password, there and here:",
            'printf %s "$DATABASE_URL" | sha256sum',
        ),
        Step("The same? Then allow the API's address at the database (trusted sources)."),
        section=SECTION,
    )


async def _refusal(visit: Visit, refusal: Refusal, cause: str, *cure: Step) -> Outcome:
    tried = await _attempt(visit)
    if tried.refusal is not refusal:
        return None
    return trouble(f"{tried.shown}: {short(tried.error, 160)}", cause, *cure, DASHBOARD, section=SECTION)


async def _attempt(visit: Visit) -> Attempt:
    """Raises NotLookedError where no PostgreSQL is named."""
    found = url(visit)
    if found.get_backend_name() not in (POSTGRESQL, OLD_NAME):
        raise NotLookedError("DATABASE_URL names no PostgreSQL, so none was tried")
    return await visit.once("database", partial(attempt, found))


async def _entered(visit: Visit) -> Attempt:
    tried = await _attempt(visit)
    if not tried.entered or tried.error:
        raise NotLookedError("nobody came into the database, so what its user may do is not known")
    return tried

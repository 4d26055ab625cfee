"""§17.1, DATABASE_URL: what is wrong with it at sight. What can't be read is not shown."""

from __future__ import annotations

import re

import sqlalchemy as sa

from monitor.doctor.database import shown
from monitor.doctor.model import Fine, NotLookedError, Outcome, Step, trouble
from monitor.doctor.visit import LONGEST_QUOTED, Visit, short

SECTION = "§17.1"
RIGHT = "DATABASE_URL=postgresql://user:password@host:5432/paciolus"
TO_TRY_THE_DATABASE = "run the doctor where the API runs, with DATABASE_URL in the environment"
POSTGRESQL, OLD_NAME, SQLITE = "postgresql", "postgres", "sqlite"
_PLACEHOLDER = re.compile(r"<[^>]*>|\$\{?\w|\{\{|internal-database-url", re.IGNORECASE)
_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+")


async def unreadable(visit: Visit) -> Outcome:
    why = _why_unreadable(_given(visit))
    if not why:
        return None
    return trouble(
        f"DATABASE_URL: {why}",
        "The backend cannot make sense of it either, or reads something else than what was meant.",
        Step("It has this form, without quotes and spaces around it:", RIGHT),
        Step(
            "A password with @ : / # ? or % in it has to be written in percent notation:",
            "python -c 'import getpass, urllib.parse as u;\n  print(u.quote(getpass.getpass(), safe=\"\"))'",
        ),
        section=SECTION,
    )


async def other_scheme(visit: Visit) -> Outcome:
    found = url(visit)
    backend = found.get_backend_name()
    if backend in (POSTGRESQL, SQLITE):
        return None
    cause = (
        "SQLAlchemy no longer knows postgres:// (since 1.4), though psql does and some providers write it "
        "so. The API reads it all the same; scripts, migrations of your own and other services do not."
        if backend == OLD_NAME
        else f"The API speaks to postgresql and sqlite, and not to {backend[:20]}."
    )
    return trouble(
        f"DATABASE_URL begins with {found.drivername[:20]}://",
        cause,
        Step("Write the scheme in full:", _right(found)),
        section=SECTION,
    )


async def sqlite(visit: Visit) -> Outcome:
    found = url(visit)
    if found.get_backend_name() != SQLITE:
        return None
    if not visit.patient.has_edge:
        return Fine("DATABASE_URL is SQLite, as in development")
    return trouble(
        f"DATABASE_URL is {shown(found)[:80]}",
        "SQLite is for development: each instance has a file of its own, and a deploy deletes it with all "
        "users in it.",
        Step("Take the database's URL from the dashboard, the internal one, and restart the backend:", RIGHT),
        section="§3.1",
    )


def url(visit: Visit) -> sa.URL:
    """Raises NotLookedError where there is none, or none that can be read."""
    text = _given(visit)
    if _why_unreadable(text):
        raise NotLookedError("DATABASE_URL cannot be read")
    return sa.make_url(text)


def _given(visit: Visit) -> str:
    if not visit.patient.database:
        raise NotLookedError("no DATABASE_URL was given", TO_TRY_THE_DATABASE)
    return visit.patient.database


def _why_unreadable(text: str) -> str:
    """ "" when it can be read."""
    if text.strip("\"' \t\r\n") != text:
        return "there are quotes or spaces around it"
    if _PLACEHOLDER.search(text):
        return "there is a placeholder in it that nobody filled in"
    try:
        found = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        return "it is no URL: scheme, ://, user, password, host, port or name are not where they belong"
    if found.host and not _HOST.fullmatch(found.host):
        return "its host has characters that no host has, so the password most likely has an @ in it"
    if found.get_backend_name() != SQLITE and not found.database:
        return "it names no database: nothing stands behind the last slash"
    if found.get_backend_name() != SQLITE and not (found.host or found.query.get("host")):
        return "it names no host"
    return ""


def _right(found: sa.URL) -> str:
    name = found.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
    return f"DATABASE_URL={short(name, LONGEST_QUOTED)}"

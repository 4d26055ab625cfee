"""The database, tried from here: its name, its port, TLS, the log-in, and what a user may do there.

What is asked is read only. The password is never shown, nor is any part of a URL that can't be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg2
import sqlalchemy as sa

from monitor.doctor.dialling import Dialled, Line, apart, dial
from monitor.doctor.handshaking import Handshake, shake_hands

PORT = 5432
TIMEOUT = 5
"""Seconds for the connection with all that belongs to it."""
ANSWERING = 4.0
"""Seconds for the questions."""
SHORTEST_MASKED = 8
"""Characters of a password; a shorter one would only be pointed at by masking it wherever it stands."""
WISH_FOR_TLS = struct.pack("!ii", 8, 80877103)
"""SSLRequest of PostgreSQL's protocol."""
TABLES = ("users", "clients", "activity_logs", "diagnostic_summaries")
"""§8.1."""

_OURS = "FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY(%(tables)s)"
_NAME = "quote_ident(schemaname) || '.' || quote_ident(tablename)"
_WRITABLE = " AND ".join(
    f"has_table_privilege({_NAME}, '{each}')" for each in ("SELECT", "INSERT", "UPDATE", "DELETE")
)
_QUESTIONS = {
    "read_only": "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'",
    "may_create": "SELECT has_schema_privilege(current_schema(), 'CREATE')",
    "closed": f"SELECT array_agg(tablename::text) {_OURS} AND NOT ({_WRITABLE})",
    "tables": f"SELECT count(*) {_OURS}",
    "connections": "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'",
    "most_connections": (
        "SELECT current_setting('max_connections')::int "
        "- current_setting('superuser_reserved_connections')::int"
    ),
}
"""By what each tells: `closed` are tables that the user may not read and write."""


class Refusal(StrEnum):
    """What an error means, by the words of libpq and PostgreSQL: codes come only after the log-in."""

    PASSWORD = "password"  # noqa: S105
    USER = "user"
    NAME = "name"
    NOT_ALLOWED = "not allowed"
    FULL = "full"
    STARTING = "starting"
    TLS = "tls"
    OTHER = "other"


_MEANING = (
    (Refusal.PASSWORD, r"authentication failed for user|no password supplied"),
    (Refusal.NAME, r"database .* does not exist"),
    (Refusal.USER, r"role .* does not exist"),
    (Refusal.NOT_ALLOWED, r"pg_hba\.conf|not permitted to log in|permission denied for database"),
    (Refusal.FULL, r"too many clients|remaining connection slots|too many connections"),
    (Refusal.STARTING, r"is starting up|is shutting down|in recovery mode|not accepting connections"),
    (Refusal.OTHER, r"invalid response"),
    (Refusal.TLS, r"SSL|TLS|certificate"),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """How far it came. `error`: what the server or libpq said, "" when all is well. `facts`: by question."""

    url: sa.URL
    dialled: Dialled | None = None
    handshake: Handshake | None = None
    error: str = ""
    entered: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return shown(self.url)

    @property
    def line(self) -> Line:
        """Open where there is none to dial: a socket of this machine."""
        return self.dialled.line if self.dialled else Line.OPEN

    @property
    def refusal(self) -> Refusal | None:
        """None where there was none, or nobody to refuse."""
        if self.entered or not self.error:
            return None
        return next((each for each, words in _MEANING if re.search(words, self.error)), Refusal.OTHER)


def shown(url: sa.URL) -> str:
    """Without the password, and without parameters, which may hold another one."""
    return url.set(query={}).render_as_string(hide_password=True)


async def attempt(url: sa.URL) -> Attempt:
    """Never raises but for what cancels it; takes 20 s at most."""
    if url.host:
        dialled = await dial(url.host, url.port or PORT)
        if dialled.line is not Line.OPEN:
            return Attempt(url, dialled)
        handshake = await shake_hands(
            url.host, dialled.address, url.port or PORT, _any_certificate(), WISH_FOR_TLS
        )
    else:
        dialled, handshake = None, None
    error, entered, found = await _entered(url, dialled.address if dialled else "")
    return Attempt(url, dialled, handshake, error, entered, found)


def _any_certificate() -> ssl.SSLContext:
    """Whether TLS is spoken; whose certificate it is, libpq judges."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _entered(url: sa.URL, address: str) -> tuple[str, bool, dict[str, Any]]:
    """In a thread, for libpq blocks; a server that falls silent is cut off."""
    connections: list[Any] = []

    def enter() -> tuple[str, bool, dict[str, Any]]:
        try:
            connections.append(connection := psycopg2.connect(**_arguments(url, address)))
        except (psycopg2.Error, UnicodeError, ValueError, TypeError) as error:
            return _said(error, url), False, {}
        try:
            return "", True, _answers(connection)
        except psycopg2.Error as error:
            return _said(error, url), True, {}
        finally:
            with contextlib.suppress(psycopg2.Error):
                connection.close()

    entering = apart(enter)
    done, _ = await asyncio.wait([entering], timeout=TIMEOUT + ANSWERING)
    if not done:
        for each in connections:
            with contextlib.suppress(Exception), socket.socket(fileno=os.dup(each.fileno())) as ours:
                ours.shutdown(socket.SHUT_RDWR)
        return f"no answer within {TIMEOUT + ANSWERING:g} s", bool(connections), {}
    return entering.result()


def _arguments(url: sa.URL, address: str) -> dict[str, Any]:
    """`hostaddr`: the address that was dialled; looking it up again could take for ever."""
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    known = url.translate_connect_args(username="user", database="dbname")
    more = {"hostaddr": address} if address else {}
    ours = {"connect_timeout": TIMEOUT, "application_name": "paciolus-monitor doctor"}
    return {**query, **known, **more, **ours, "options": f"-c statement_timeout={ANSWERING * 1000:.0f}"}


def _answers(connection: Any) -> dict[str, Any]:
    connection.autocommit = True
    found = {}
    with connection.cursor() as cursor:
        for name, question in _QUESTIONS.items():
            cursor.execute(question, {"tables": list(TABLES)})
            (found[name],) = cursor.fetchone()
    return found


def _said(error: Exception, url: sa.URL) -> str:
    """The last line says most; the password is taken out, should anybody have repeated it."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = next((line for line in lines if "FATAL" in line), lines[0]).strip()
    password = url.password or ""
    return said.replace(password, "***") if len(password) >= SHORTEST_MASKED else said

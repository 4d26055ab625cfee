"""PostgreSQL for the API: a cluster of its own, made when there is none, as its image does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg2

from monitor.children import Child
from monitor.stack.places import Places
from monitor.stack.ports import LOOPBACK, Ports
from monitor.stack.programs import MissingProgramError

NAME = "paciolus"
"""Of the superuser and of the database, as in docker-compose.monitoring.yml."""
CLUSTER = "postgres"
DEBIAN = Path("/usr/lib/postgresql")
INITDB_WITHIN = 120.0
READY_WITHIN = 30.0


def make_postgres(places: Places, ports: Ports, password: str) -> Child:
    """Not started yet. Raises MissingProgramError, or SubprocessError when no cluster can be made."""
    initdb = _initdb()
    # It refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    cluster = places.data / CLUSTER
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(initdb, cluster, password, user)
    argv = [str(initdb.with_name("postgres")), "-D", str(cluster), f"--port={ports['postgres']}"]
    argv += [f"--listen_addresses={LOOPBACK}", "--unix_socket_directories="]
    return Child("postgres", argv, {}, places.data, ending=signal.SIGINT, user=user)


def _initdb() -> Path:
    """Debian keeps PostgreSQL's server programs off PATH."""
    folders = [os.environ.get("PATH", os.defpath), *map(str, sorted(DEBIAN.glob("*/bin"), reverse=True))]
    if found := shutil.which("initdb", path=os.pathsep.join(folders)):
        return Path(found).resolve()
    raise MissingProgramError("there is no PostgreSQL server; `make servers` installs it on Debian")


def _make_cluster(initdb: Path, cluster: Path, password: str, user: str | None) -> None:
    cluster.mkdir(mode=0o700, exist_ok=True)
    how = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
    with tempfile.NamedTemporaryFile("w", dir=cluster.parent) as secret:
        secret.write(password)
        secret.flush()
        if user:
            shutil.chown(cluster, user)
            shutil.chown(secret.name, user)
        subprocess.run(  # noqa: S603 - our own command line
            [str(initdb), f"--pgdata={cluster}", f"--username={NAME}", f"--pwfile={secret.name}", *how],
            capture_output=True,
            check=True,
            timeout=INITDB_WITHIN,
            user=user,
            cwd=cluster,
        )


async def ready(server: Child, ports: Ports, password: str) -> None:
    """Until it has the database. Raises ChildError when it ends first or takes too long."""
    deadline = time.monotonic() + READY_WITHIN
    while not _has_database(ports, password):
        server.check()
        if time.monotonic() > deadline:
            raise server.failure(f"was not ready within {READY_WITHIN:g} s")
        await asyncio.sleep(0.1)


def _has_database(ports: Ports, password: str) -> bool:
    where = f"host={LOOPBACK} port={ports['postgres']} user={NAME} dbname=postgres connect_timeout=2"
    try:
        with contextlib.closing(psycopg2.connect(where, password=password)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {NAME}")
    except psycopg2.errors.DuplicateDatabase:
        return True
    except psycopg2.OperationalError:
        return False
    return True

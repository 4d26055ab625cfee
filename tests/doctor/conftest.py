"""Servers that a file's tests share: a PostgreSQL that asks for passwords, the API with wrong settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.doctor.serving import ORIGIN, SECRET
from tests.servers import Postgres, Process, free_port, run_postgres

PASSWORD = "w4Rn8sQzT2mKx9LpV7cJbD3f@gY6uEaX"
OF_INSTANCES = "instances"
SLOTS = 5
"""Connections that users may have who are no superuser."""
HBA = """
host all postgres,stranger 127.0.0.1/32 trust
host all kept_out 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""


class Guarded(NamedTuple):
    """Lets user `app` in with PASSWORD, to databases that are his."""

    server: Postgres

    def url(self, user: str = "app", password: str = PASSWORD, database: str = "paciolus") -> str:
        written = password.replace("@", "%40")
        return f"postgresql://{user}:{written}@127.0.0.1:{self.server.port}/{database}"


@pytest.fixture(scope="session")
def guarded() -> Iterator[Guarded]:
    rules = Path("/tmp") / f"doctor-{free_port()}.hba"  # where the server's user may read
    rules.write_text(HBA)
    rules.chmod(0o644)
    try:
        with run_postgres(f"max_connections={SLOTS + 3}", f"hba_file={rules}") as server:
            server.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
            server.execute("CREATE ROLE kept_out LOGIN")
            server.execute("CREATE DATABASE paciolus OWNER app")
            server.execute(f"CREATE DATABASE {OF_INSTANCES} OWNER app")
            yield Guarded(server)
    finally:
        rules.unlink()


class Instances(NamedTuple):
    ports: dict[str, int]

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"


@pytest.fixture(scope="module")
def instances(guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instances]:
    """`left` and `right` differ in their secret alone. The others are wrong as their names say."""
    folder = tmp_path_factory.mktemp("instances")
    sqlite = f"sqlite:///{folder / 'api.db'}"
    right = {"CORS_ORIGINS": ORIGIN, "JWT_SECRET_KEY": SECRET, "DATABASE_URL": sqlite}
    wrong = {
        "left": {},
        "right": {"JWT_SECRET_KEY": SECRET[::-1]},
        "other-origin": {"CORS_ORIGINS": "https://www.paciolus.com", "JWT_EXPIRATION_MINUTES": "1440"},
        "no-database": {"DATABASE_URL": f"postgresql://app:x@127.0.0.1:{free_port()}/paciolus"},
        "wrong-password": {"DATABASE_URL": guarded.url(password="of yesterday".replace(" ", "-"))},
        "small-pool": {
            "DATABASE_URL": guarded.url(database=OF_INSTANCES),
            "DB_POOL_SIZE": "1",
            "DB_MAX_OVERFLOW": "0",
        },
    }
    ports = {name: free_port() for name in wrong}
    asked = [[ports[name], {**right, **changed}] for name, changed in wrong.items()]
    log = folder / "log"
    with ExitStack() as at_end:
        process = Process(sys.executable, "-m", "tests.doctor.instances", json.dumps(asked), log=log)
        at_end.callback(process.stop)
        for port in ports.values():
            process.wait_for(f"http://127.0.0.1:{port}/health", 60)
        yield Instances(ports)

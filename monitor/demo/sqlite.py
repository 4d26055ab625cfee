"""What another process can do to the API's SQLite file. Never blocks: its thread has more to do."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path


async def keep_locked(database: Path, *, locked: float, free: float) -> None:
    """Until cancelled: `locked` seconds with the write lock, then `free` seconds without it."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as connection:
        while True:
            await _patiently(connection, "BEGIN IMMEDIATE")
            await asyncio.sleep(locked)
            connection.execute("ROLLBACK")
            await asyncio.sleep(free)


async def rename(database: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as connection:
        await _patiently(connection, f"ALTER TABLE {old} RENAME TO {new}")


async def _patiently(connection: sqlite3.Connection, statement: str, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not _executed(connection, statement):
        if time.monotonic() > deadline:
            raise ValueError(f"the database stayed locked for {within:g} s")
        await asyncio.sleep(0.005)


def _executed(connection: sqlite3.Connection, statement: str) -> bool:
    """False when the database is locked. Raises ValueError for anything else that SQLite refuses."""
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        raise ValueError(str(error)) from None
    return True

"""Questions to the agent's store from outside of the agent: each with a deadline, and an end to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitor.gate.source import SourceError
from monitor.history import History
from monitor.storecalls import DEADLINE, StoreCalls, cause

T = TypeVar("T")


def asked(database: str, question: Callable[[History], T], within: float = DEADLINE) -> T:
    """Blocks, for `within` seconds at most. Raises SourceError; a store that is not there is never made."""
    where = sa.make_url(database)
    if where.get_backend_name() == "sqlite" and not Path(where.database or "").exists():
        raise SourceError(f"history: there is no file {where.database}")
    store = History(database)
    calls = StoreCalls(store.engine)
    try:
        return calls.blocking(within, question, store)
    except SQLAlchemyError as error:
        raise SourceError(f"history: {cause(error)}") from None
    finally:
        calls.close()
        store.close()

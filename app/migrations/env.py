"""What Alembic runs: on the connection that `app.migrations` hands over, or on its own for `alembic`."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from app.database import make_engine
from app.migrations import alone
from app.models import Amount, Base
from app.settings import Settings


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters by copying
        render_item=_render,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """A revision shall mean the same for ever, so it names no type of today's models."""
    if kind == "type" and isinstance(item, Amount):
        text = item.load_dialect_impl(sqlite.dialect())
        return f'sa.{item.impl_instance!r}.with_variant(sa.String({text.length}), "sqlite")'
    return False


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    _run(handed_over)
else:
    with alone(make_engine(Settings.load())) as connection:
        _run(connection)

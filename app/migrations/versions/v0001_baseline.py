"""The schema of release 0.1, from before there were revisions.

A database of that release has all of this and says so nowhere, so what is there already is left alone.
"""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _amount() -> sa.Numeric[Decimal]:
    return sa.Numeric(28, 4).with_variant(sa.String(30), "sqlite")


def _created_at() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), nullable=False)


def _refers(column: str, table: str, ondelete: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(column, sa.Integer, sa.ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("email", sa.String(320), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        _created_at(),
        if_not_exists=True,
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.Integer, primary_key=True),
        _refers("user_id", "users", "CASCADE"),
        sa.Column("name", sa.String(200), nullable=False),
        _created_at(),
        if_not_exists=True,
    )
    op.create_table(
        "activity_logs",
        sa.Column("id", sa.Integer, primary_key=True),
        _refers("user_id", "users", "CASCADE"),
        sa.Column("action", sa.String(50), nullable=False),
        _created_at(),
        if_not_exists=True,
    )
    op.create_table(
        "diagnostic_summaries",
        sa.Column("id", sa.Integer, primary_key=True),
        _refers("user_id", "users", "CASCADE"),
        _refers("client_id", "clients", "SET NULL", nullable=True),
        sa.Column("row_count", sa.Integer, nullable=False),
        sa.Column("total_debits", _amount(), nullable=False),
        sa.Column("total_credits", _amount(), nullable=False),
        sa.Column("difference", _amount(), nullable=False),
        sa.Column("balanced", sa.Boolean, nullable=False),
        sa.Column("abnormal_balances", sa.Integer, nullable=False),
        _created_at(),
        if_not_exists=True,
    )
    for table, column in INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)


def downgrade() -> None:
    for table in ("diagnostic_summaries", "activity_logs", "clients", "users"):
        op.drop_table(table)


INDEXES = (
    ("clients", "user_id"),
    ("activity_logs", "user_id"),
    ("diagnostic_summaries", "user_id"),
    ("diagnostic_summaries", "client_id"),
)

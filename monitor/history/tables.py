"""The tables of the agent's store, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""PostgreSQL's Integer would be used up within months by thousands of targets."""

schema = sa.MetaData()

probe_results = sa.Table(
    "probe_results",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("check", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("duration", sa.Float, nullable=False),
    sa.Column("status", sa.Integer),
)
alerts = sa.Table(
    "alerts",
    schema,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("check", sa.Text, primary_key=True),
    sa.Column("alert", sa.Text, nullable=False),
)
conversations = sa.Table(
    "conversations",
    schema,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("check", sa.Text, primary_key=True),
    sa.Column("ended_at", sa.Float),
    sa.Column("conversation", sa.Text, nullable=False),
)
deploys = sa.Table(
    "deploys",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("commit", sa.Text, nullable=False),
    sa.Column("branch", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
)
transitions = sa.Table(
    "transitions",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("alert", sa.Text, nullable=False),
)
outbox = sa.Table(
    "outbox",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("notifier", sa.Text, nullable=False),
    sa.Column("dedup_key", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("state", sa.Text, nullable=False, default="waiting", index=True),
    sa.Column("error", sa.Text, nullable=False, default=""),
    sa.Column("ended_at", sa.Float),
)

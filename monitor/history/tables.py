"""The tables of the agent's store, the same on SQLite and PostgreSQL. Times are seconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""PostgreSQL's Integer would be used up within months by thousands of targets."""

schema = sa.MetaData()

schema_version = sa.Table("schema_version", schema, sa.Column("version", sa.Integer, primary_key=True))

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
    sa.Column("interval", sa.Float),
    sa.Column("phases", sa.LargeBinary),
)
series = sa.Table(
    "series",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.UniqueConstraint("kind", "target", "name"),
)
"""A check of a target, or an objective of it: rows that come by the million name it by its number."""

rollups = sa.Table(
    "rollups",
    schema,
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("covered", sa.LargeBinary, nullable=False),
    sa.Column("sketch", sa.LargeBinary, nullable=False),
    sa.Column("phases", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""The probes of a check within the minute, hour or day (`span` seconds) that begins at `at`."""

outcomes = sa.Table(
    "outcomes",
    schema,
    sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("results", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""When each probe of an hour was, eight bytes each, negative where it failed."""

readings = sa.Table(
    "readings",
    schema,
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("series", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("low", sa.Float),
    sa.Column("high", sa.Float),
    sa.Column("last", sa.Float),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("worst", sa.SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What an objective read on a target within the minute or hour that begins at `at`."""

failures = sa.Table(
    "failures",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("series", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("duration", sa.Float, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("phases", sa.LargeBinary),
    sa.Index("ix_failures_series", "series", "at"),
)
incidents = sa.Table(
    "incidents",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("check", sa.Text, nullable=False),
    sa.Column("fired_at", sa.Float, nullable=False, index=True),
    sa.Column("resolved_at", sa.Float, index=True),
    sa.Column("dedup_key", sa.Text, nullable=False),
    sa.Column("alert", sa.Text, nullable=False),
)
"""An alert from firing to resolved, as it was when it fired."""

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
gate_runs = sa.Table(
    "gate_runs",
    schema,
    sa.Column("id", ROW_ID, primary_key=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("ended", sa.Float, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("exit", sa.Integer, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
)
"""What the release gate found at `target`, a URL: its exit status, and the whole report as JSON."""

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
    sa.Index("ix_outbox_dedup_key", "dedup_key"),
)
batches = sa.Table(
    "batches",
    schema,
    sa.Column("writer", sa.Text, primary_key=True),
    sa.Column("batch", sa.Text, nullable=False),
    sa.Column("message_ids", sa.Text, nullable=False),
)
"""The last batch of entries that each writer stored."""

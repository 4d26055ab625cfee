"""Logging out, safe retries, what an activity was about, and indexes that serve a page without sorting.

Old rows and old code go on: a new column may be empty, and the release before runs on this schema too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

PAGED = ("clients", "activity_logs")


def upgrade() -> None:
    op.create_table(
        "revoked_tokens",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_revoked_tokens_expires_at", "revoked_tokens", ["expires_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("subject_id", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("user_id", "key", name="uq_idempotency_keys_user_id_key"),
    )
    with op.batch_alter_table("activity_logs") as table:
        table.add_column(sa.Column("subject_id", sa.Integer))
    for name in PAGED:
        op.create_index(f"ix_{name}_user_id_id", name, ["user_id", "id"])
        op.drop_index(f"ix_{name}_user_id", name)


def downgrade() -> None:
    for name in PAGED:
        op.create_index(f"ix_{name}_user_id", name, ["user_id"])
        op.drop_index(f"ix_{name}_user_id_id", name)
    with op.batch_alter_table("activity_logs") as table:
        table.drop_column("subject_id")
    op.drop_table("idempotency_keys")
    op.drop_table("revoked_tokens")

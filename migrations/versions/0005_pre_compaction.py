"""pre compaction"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f("ix_summaries_granularity_model_start"), "summaries", ["granularity", "model", "start"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_summaries_granularity_model_start"), table_name="summaries")

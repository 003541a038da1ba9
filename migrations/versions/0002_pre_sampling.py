"""pre sampling"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "personal_fields",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("looks_like", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "feature", name=op.f("pk_personal_fields")),
    )
    op.add_column("batches", sa.Column("unkept", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("predictions", sa.Column("sample", sa.Double(), nullable=False, server_default="1"))


def downgrade() -> None:
    with op.batch_alter_table("predictions") as batch_op:
        batch_op.drop_column("sample")
    with op.batch_alter_table("batches") as batch_op:
        batch_op.drop_column("unkept")
    op.drop_table("personal_fields")

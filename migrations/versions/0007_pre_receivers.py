"""pre receivers"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "receiver_states",
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("pause_ms", sa.BigInteger(), nullable=False),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("open_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("receiver", name=op.f("pk_receiver_states")),
    )
    op.create_table(
        "message_references",
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("receiver", "order_key", name=op.f("pk_message_references")),
    )
    op.add_column("deliveries", sa.Column("title", sa.Text(), nullable=False, server_default=""))
    op.add_column("deliveries", sa.Column("manual", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(
        "delivery_attempts", sa.Column("manual", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("deliveries", sa.Column("standby_for", sa.Text(), nullable=True))
    op.create_index(op.f("ix_deliveries_receiver_order_key"), "deliveries", ["receiver", "order_key"])


def downgrade() -> None:
    op.drop_index(op.f("ix_deliveries_receiver_order_key"), table_name="deliveries")
    with op.batch_alter_table("deliveries") as batch_op:
        batch_op.drop_column("standby_for")
        batch_op.drop_column("manual")
        batch_op.drop_column("title")
    with op.batch_alter_table("delivery_attempts") as batch_op:
        batch_op.drop_column("manual")
    op.drop_table("message_references")
    op.drop_table("receiver_states")

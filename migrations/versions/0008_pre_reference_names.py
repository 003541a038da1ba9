"""pre reference names"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reference_sets", sa.Column("name", sa.Text(), nullable=False, server_default="default"))
    op.add_column("reference_sets", sa.Column("number", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("reference_sets", sa.Column("provenance", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    with op.batch_alter_table("reference_sets") as batch_op:
        batch_op.drop_column("provenance")
        batch_op.drop_column("number")
        batch_op.drop_column("name")

"""pre finding indexes

What pages read of a year of hourly windows: the series of a metric, and those of its findings that are alarms. On a large
database the two indexes take minutes to build.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = ["model", "metric", "window_end", "feature", "version", "segment"]


def upgrade() -> None:
    op.create_index("ix_findings_series", "findings", COLUMNS)
    op.create_index(
        "ix_findings_alarms",
        "findings",
        [*COLUMNS, "latest", "verdict"],
        sqlite_where=sa.text("verdict = 'alarm' AND latest = 1"),
        postgresql_where=sa.text("verdict = 'alarm' AND latest = true"),
    )
    op.drop_index("ix_findings_model_metric_window_end", "findings")


def downgrade() -> None:
    op.create_index("ix_findings_model_metric_window_end", "findings", ["model", "metric", "window_end"])
    op.drop_index("ix_findings_alarms", "findings")
    op.drop_index("ix_findings_series", "findings")

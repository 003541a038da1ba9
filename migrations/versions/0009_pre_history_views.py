"""pre history views

What people may read with SQL, under names that stay while the tables below them change: no feature's value, no label, no
token stands in them. SQLite has no roles to keep anybody out of its tables, so it has no views either.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

VIEWS = {
    "finding_history": """
        SELECT model, version, segment, metric, feature, window_start, window_end, value, low, high, reference_value,
               threshold, effect, size, reference_size, coverage, verdict, reason, revision, computed_at
        FROM findings WHERE latest
    """,
    "version_history": "SELECT model, version, first_seen, last_seen FROM versions",
    "alert_history": """
        SELECT id, rule, model, labels ->> 'version' AS version, labels ->> 'segment' AS segment,
               labels ->> 'feature' AS feature, labels ->> 'metric' AS metric, severity, state, value,
               annotations ->> 'summary' AS summary, active_at, fired_at, resolved_at
        FROM alerts
    """,
    "incident_history": """
        SELECT id, plan, model, title, severity, state, opened_at, acknowledged_at, acknowledged_by, resolved_at
        FROM incidents
    """,
    "action_history": """
        SELECT id, name, model, incident_id, state, reason, requested_at, finished_at, model_version FROM actions
    """,
    "delivery_history": """
        SELECT id, receiver, kind, state, attempts, created_at, delivered_at, last_status, last_error FROM deliveries
    """,
    "collector_status": """
        SELECT id, host, model, version, started_at, seen_at,
               (counters ->> 'running')::double precision AS running,
               (counters ->> 'records_per_second')::double precision AS records_per_second,
               (counters ->> 'lost')::double precision AS lost,
               (counters ->> 'lag_seconds')::double precision AS lag_seconds,
               (counters ->> 'bytes')::double precision AS spool_bytes,
               (counters ->> 'limit_bytes')::double precision AS spool_limit_bytes,
               (counters ->> 'pending')::double precision AS pending,
               (counters ->> 'set_aside')::double precision AS set_aside
        FROM collectors
    """,
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, query in VIEWS.items():
            op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name in VIEWS:
            op.execute(f"DROP VIEW {name}")

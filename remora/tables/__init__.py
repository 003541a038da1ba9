"""Every table, one screen each. The parts meet here and nowhere else.

Instants are aware UTC. JSON columns are read with plain SQL; blobs are the summaries of `remora.summaries`.
"""

from remora.tables.acting import checklist_ticks, pauses, signing_keys
from remora.tables.alerting import (
    actions,
    alerts,
    deliveries,
    delivery_attempts,
    incident_events,
    incidents,
    message_references,
    notifications,
    plan_steps,
    receiver_states,
    silences,
)
from remora.tables.base import Instant, metadata
from remora.tables.found import archives, clock, findings, job_runs, reference_columns, reference_sets
from remora.tables.people import audit, reports, tokens
from remora.tables.seen import (
    batches,
    collectors,
    labels,
    models,
    personal_fields,
    predictions,
    segments,
    summaries,
    versions,
)

__all__ = [
    "Instant",
    "actions",
    "alerts",
    "archives",
    "audit",
    "batches",
    "checklist_ticks",
    "clock",
    "collectors",
    "deliveries",
    "delivery_attempts",
    "findings",
    "incident_events",
    "incidents",
    "job_runs",
    "labels",
    "message_references",
    "metadata",
    "models",
    "notifications",
    "pauses",
    "personal_fields",
    "plan_steps",
    "predictions",
    "receiver_states",
    "reference_columns",
    "reference_sets",
    "reports",
    "segments",
    "signing_keys",
    "silences",
    "summaries",
    "tokens",
    "versions",
]

"""The collector's own counters, one place for their names."""

from prometheus_client import Counter, Gauge, Histogram

from remora.telemetry import REGISTRY

__all__ = [
    "ACCEPTED",
    "ANSWER_SECONDS",
    "BATCHES",
    "CAPTURED",
    "CAPTURE_CONTROL",
    "CAPTURE_DROPPED",
    "CAPTURE_TRIMMED",
    "CAPTURE_UNREADABLE",
    "CORRECTED",
    "DELIVERED",
    "DELIVERY_FAILURES",
    "DELIVERY_LAG",
    "DELIVERY_SECONDS",
    "EVENTS",
    "EVENTS_UNPAIRED",
    "EVENTS_WAITING",
    "EXPIRED",
    "FAULTS",
    "FOLDED",
    "JOINED",
    "PENDING",
    "PERSONAL_FIELDS",
    "REDACTED",
    "REJECTED",
    "REPEATED",
    "SET_ASIDE",
    "SPOOL_AGE",
    "SPOOL_BYTES",
    "SPOOL_REFUSED",
]

ACCEPTED = Counter(
    "remora_accepted", "Records accepted by the API, safe on disk.", ["kind"], registry=REGISTRY
)
REJECTED = Counter(
    "remora_rejected", "Records that the API rejected as invalid.", ["kind"], registry=REGISTRY
)
ANSWER_SECONDS = Histogram(
    "remora_answer_seconds",
    "How long the model took to answer, of every request that was measured.",
    ["model", "status"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CAPTURED = Counter("remora_captured_rows", "Rows read out of captured exchanges.", registry=REGISTRY)
CAPTURE_UNREADABLE = Counter(
    "remora_capture_unreadable",
    "Exchanges recorded without features or answer.",
    ["reason"],
    registry=REGISTRY,
)
CAPTURE_CONTROL = Counter(
    "remora_capture_control",
    "Captured requests that manage a model server; not predictions.",
    registry=REGISTRY,
)
CAPTURE_TRIMMED = Counter(
    "remora_capture_trimmed",
    "Captured values that were left out or cut short.",
    ["reason"],
    registry=REGISTRY,
)
CAPTURE_DROPPED = Counter(
    "remora_capture_dropped", "Exchanges that are larger than the whole spool may be.", registry=REGISTRY
)
EVENTS = Counter("remora_events", "CloudEvents taken, by side.", ["kind"], registry=REGISTRY)
EVENTS_UNPAIRED = Counter(
    "remora_events_unpaired", "Events whose other side did not come in time.", registry=REGISTRY
)
EVENTS_WAITING = Gauge(
    "remora_events_waiting", "Events that wait for the other side of their pair.", registry=REGISTRY
)
REDACTED = Counter(
    "remora_redacted", "Values that were left out, hashed, cut or masked.", ["rule"], registry=REGISTRY
)
PERSONAL_FIELDS = Counter(
    "remora_personal_fields", "Features that look personal and are not redacted.", registry=REGISTRY
)
FOLDED = Counter(
    "remora_segments_folded",
    "Values of segments counted as `__other__` in a batch: a hundred are watched apart.",
    registry=REGISTRY,
)
SPOOL_REFUSED = Counter("remora_spool_refused", "Writes that the spool could not take.", registry=REGISTRY)
SPOOL_BYTES = Gauge("remora_spool_bytes", "Bytes of records that wait in the spool.", registry=REGISTRY)
SPOOL_AGE = Gauge(
    "remora_spool_age_seconds", "How long the oldest record waits in the spool.", registry=REGISTRY
)
PENDING = Gauge("remora_pending", "Records accepted but not delivered yet.", registry=REGISTRY)
DELIVERED = Counter("remora_delivered", "Records delivered out of the spool.", registry=REGISTRY)
SET_ASIDE = Counter("remora_set_aside", "Records that the receiver refused for good.", registry=REGISTRY)
EXPIRED = Counter(
    "remora_expired", "Records dropped because they waited longer than delivery.max_age.", registry=REGISTRY
)
DELIVERY_LAG = Gauge(
    "remora_delivery_lag_seconds",
    "From the spool to the receiver: the batch delivered last.",
    registry=REGISTRY,
)
DELIVERY_FAILURES = Counter(
    "remora_delivery_failures", "Deliveries that will be tried again.", registry=REGISTRY
)
DELIVERY_SECONDS = Histogram("remora_delivery_seconds", "Time to deliver one batch.", registry=REGISTRY)
BATCHES = Counter("remora_batches", "Batches written into the database.", registry=REGISTRY)
REPEATED = Counter("remora_repeated", "Records that were in the database already.", registry=REGISTRY)
CORRECTED = Counter("remora_labels_corrected", "Labels replaced by a newer one.", registry=REGISTRY)
JOINED = Counter("remora_labels_joined", "Labels joined with their prediction.", registry=REGISTRY)
FAULTS = Counter(
    "remora_collector_faults", "Unexpected errors, by the loop that met them.", ["loop"], registry=REGISTRY
)

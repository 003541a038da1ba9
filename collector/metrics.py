"""The collector's own counters, one place for their names."""

from prometheus_client import Counter, Gauge, Histogram

from remora.telemetry import REGISTRY

__all__ = [
    "ACCEPTED",
    "BATCHES",
    "CAPTURED",
    "CAPTURE_DROPPED",
    "CAPTURE_TRIMMED",
    "CAPTURE_UNREADABLE",
    "CORRECTED",
    "DELIVERED",
    "DELIVERY_FAILURES",
    "DELIVERY_SECONDS",
    "FAULTS",
    "JOINED",
    "PENDING",
    "REJECTED",
    "REPEATED",
    "SET_ASIDE",
    "SPOOL_BYTES",
    "SPOOL_REFUSED",
]

ACCEPTED = Counter(
    "remora_accepted", "Records accepted by the API, safe on disk.", ["kind"], registry=REGISTRY
)
REJECTED = Counter(
    "remora_rejected", "Records that the API rejected as invalid.", ["kind"], registry=REGISTRY
)
CAPTURED = Counter("remora_captured_rows", "Rows read out of captured exchanges.", registry=REGISTRY)
CAPTURE_UNREADABLE = Counter(
    "remora_capture_unreadable",
    "Exchanges recorded without features or answer.",
    ["reason"],
    registry=REGISTRY,
)
CAPTURE_TRIMMED = Counter(
    "remora_capture_trimmed", "Captured values that were left out or cut short.", registry=REGISTRY
)
CAPTURE_DROPPED = Counter(
    "remora_capture_dropped", "Exchanges that are larger than the whole spool may be.", registry=REGISTRY
)
SPOOL_REFUSED = Counter("remora_spool_refused", "Writes that the spool could not take.", registry=REGISTRY)
SPOOL_BYTES = Gauge("remora_spool_bytes", "Bytes of records that wait in the spool.", registry=REGISTRY)
PENDING = Gauge("remora_pending", "Records accepted but not delivered yet.", registry=REGISTRY)
DELIVERED = Counter("remora_delivered", "Records delivered out of the spool.", registry=REGISTRY)
SET_ASIDE = Counter("remora_set_aside", "Records that the receiver refused for good.", registry=REGISTRY)
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

"""What this part tells Prometheus of its own work."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from remora.telemetry import REGISTRY

__all__ = [
    "ACTIONS", "ALERTS_FIRING", "BREAKER_OPEN", "DELIVERIES", "DELIVERY_SECONDS", "EVALUATIONS",
    "EVALUATION_FAILURES", "INCIDENTS", "INCIDENTS_REFUSED", "NOTIFICATIONS", "ROUND_FAILURES", "STEPS",
]  # fmt: skip

ALERTS_FIRING = Gauge(
    "remora_alerts_firing", "Alerts that are firing", ["alertname", "model", "severity"], registry=REGISTRY
)
EVALUATIONS = Counter(
    "remora_rule_evaluations", "Outcomes of alert rules over finished windows", ["alertname", "outcome"], registry=REGISTRY
)  # fmt: skip
EVALUATION_FAILURES = Counter(
    "remora_rule_evaluation_failures",
    "Windows whose rules could not be evaluated",
    ["job"],
    registry=REGISTRY,
)
ROUND_FAILURES = Counter(
    "remora_alerting_failures", "Timers of incidents and groups of alerts that could not be dealt with", ["of"], registry=REGISTRY
)  # fmt: skip
NOTIFICATIONS = Counter(
    "remora_notifications", "Messages about groups of alerts", ["receiver", "reason"], registry=REGISTRY
)
DELIVERIES = Counter(
    "remora_deliveries",
    "Attempts to deliver, by what came of them",
    ["receiver", "outcome"],
    registry=REGISTRY,
)
DELIVERY_SECONDS = Histogram(
    "remora_delivery_duration_seconds", "How long receivers take to answer", ["receiver"], registry=REGISTRY
)
BREAKER_OPEN = Gauge(
    "remora_receiver_breaker_open", "1 while a receiver is left alone after failures", ["receiver"], registry=REGISTRY
)  # fmt: skip
INCIDENTS = Counter(
    "remora_incidents", "Incidents by what happened to them", ["plan", "event"], registry=REGISTRY
)
INCIDENTS_REFUSED = Counter(
    "remora_incidents_refused", "Incidents that were not opened because too many were open", ["plan"], registry=REGISTRY
)  # fmt: skip
STEPS = Counter("remora_plan_steps", "Steps of incident plans", ["kind", "state"], registry=REGISTRY)
ACTIONS = Counter("remora_actions", "Model updates by state", ["name", "state"], registry=REGISTRY)

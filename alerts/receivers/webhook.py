"""Webhooks: `remora.v1` in the envelope of Standard Webhooks, or the body that Alertmanager sends (version "4")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerts.receivers.base import (
    Alert,
    Event,
    Incident,
    Outgoing,
    ReceiverKind,
    Request,
    Target,
    clip,
    iso,
    post_json,
    to_json,
)  # fmt: skip
from alerts.signing import sign
from remora.config.receivers import Webhook

__all__ = ["KIND", "MAX_BYTES"]

MAX_BYTES = 20_000
_GO_ZERO = "0001-01-01T00:00:00Z"
_SIZES = (
    (1000, 100),
    (300, 50),
    (200, 20),
    (200, 5),
    (100, 1),
    (40, 1),
)  # characters in a text, alerts in a body


def _body(event: Event, settings: Webhook) -> bytes:
    make = _alertmanager if settings.body == "alertmanager.v4" else _remora
    for characters, alerts in _SIZES:
        body = to_json(make(event, characters, alerts))
        if len(body) < MAX_BYTES:
            break
    return body


def _remora(event: Event, characters: int, count: int) -> dict[str, Any]:
    """The envelope; `data` holds what the event's type promises."""
    shown = event.alerts[:count]
    data: dict[str, Any] = {
        "title": clip(event.title, characters),
        "status": "firing" if event.firing else "resolved",
        "notification_reason": clip(event.reason, characters),
        "groupKey": clip(event.group_key, characters),
        "groupLabels": _texts(event.group_labels, characters),
        "alerts": [_alert(alert, characters) for alert in shown],
        "truncatedAlerts": len(event.alerts) - len(shown),
        "links": {"remora": event.external_url},
    }
    if event.incident is not None:
        data["incident"] = _incident(event.incident, characters)
    return {"type": event.type, "timestamp": iso(event.timestamp), "data": data}


def _texts(texts: Mapping[str, str], characters: int) -> dict[str, str]:
    return {clip(name, 200): clip(text, characters) for name, text in list(texts.items())[:50]}


def _alert(alert: Alert, characters: int) -> dict[str, Any]:
    return {
        "status": alert.status,
        "labels": _texts(alert.labels, characters),
        "annotations": _texts(alert.annotations, characters),
        "value": alert.value,
        "reference": clip(alert.reference, characters),
        "threshold": clip(alert.threshold, characters),
        "evidence": [clip(line, characters) for line in alert.evidence[:10]],
        "startsAt": iso(alert.starts_at),
        "endsAt": iso(alert.ends_at) if alert.ends_at else None,
        "window": {"from": iso(alert.window_start), "to": iso(alert.window_end)},
        "fingerprint": alert.fingerprint,
        "url": alert.url,
    }


def _incident(incident: Incident, characters: int) -> dict[str, Any]:
    return {
        "id": incident.id,
        "plan": incident.plan,
        "title": clip(incident.title, characters),
        "model": clip(incident.model, characters),
        "state": incident.state,
        "severity": clip(incident.severity, characters),
        "opened_at": iso(incident.opened_at),
        "acknowledged_by": clip(incident.acknowledged_by, characters) or None,
        "runbook_url": incident.runbook_url or None,
        "checklist": [clip(item, characters) for item in incident.checklist[:20]],
        "links": dict(incident.links),
        "url": incident.url,
    }


def _alertmanager(event: Event, characters: int, count: int) -> dict[str, Any]:
    """As `notify/webhook` of Alertmanager 0.34 writes it, field for field."""
    shown = event.alerts[:count]
    return {
        "receiver": event.receiver,
        "status": "firing" if event.firing else "resolved",
        "alerts": [_alertmanager_alert(alert, characters) for alert in shown],
        "notification_reason": clip(event.reason, characters),
        "groupLabels": _texts(event.group_labels, characters),
        "commonLabels": _common([alert.labels for alert in event.alerts], characters),
        "commonAnnotations": _common([alert.annotations for alert in event.alerts], characters),
        "routeLabels": {},
        "externalURL": event.external_url,
        "version": "4",
        "groupKey": clip(event.group_key, characters),
        "truncatedAlerts": len(event.alerts) - len(shown),
    }


def _alertmanager_alert(alert: Alert, characters: int) -> dict[str, Any]:
    return {
        "status": alert.status,
        "labels": _texts(alert.labels, characters),
        "annotations": _texts(alert.annotations, characters),
        "startsAt": iso(alert.starts_at),
        "endsAt": iso(alert.ends_at) if alert.ends_at else _GO_ZERO,
        "generatorURL": alert.url,
        "fingerprint": alert.fingerprint,
    }


def _common(texts: Sequence[Mapping[str, str]], characters: int) -> dict[str, str]:
    first = texts[0] if texts else {}
    same = {name: text for name, text in first.items() if all(other.get(name) == text for other in texts)}
    return _texts(same, characters)


def _request(outgoing: Outgoing, target: Target) -> Request:
    headers = {"webhook-id": outgoing.id, "webhook-timestamp": str(outgoing.timestamp)}
    if target.secret is not None:
        headers["webhook-signature"] = sign(
            target.secret.get_secret_value(), outgoing.id, outgoing.timestamp, outgoing.body
        )
    return post_json(target.url, outgoing.body, headers)


KIND = ReceiverKind(body=_body, request=_request)

"""Alertmanager by `POST /api/v2/alerts`: it is told again and again of what fires, and for a while of what resolved.

What fires carries no end in the body; at each attempt it gets one four intervals ahead, so that Alertmanager resolves by
itself what Remora no longer speaks of, and never what merely waited in the outbox.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.receivers.base import (
    Alert,
    Event,
    Outgoing,
    ReceiverKind,
    Request,
    Target,
    clip,
    iso,
    post_json,
    to_json,
)
from remora.config.receivers import Alertmanager, ReceiverBase

__all__ = ["KIND"]

_LABEL, _TEXT = 500, 1000  # characters
_SHORTEST = timedelta(minutes=1)


def _body(event: Event, settings: Alertmanager) -> bytes:  # noqa: ARG001  # Alertmanager has one format
    return to_json([_alert(alert) for alert in event.alerts])


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "labels": {name: clip(text, _LABEL) for name, text in alert.labels.items() if text},
        "annotations": {name: clip(text, _TEXT) for name, text in _annotations(alert).items() if text},
        "startsAt": iso(alert.starts_at),
        "endsAt": iso(alert.ends_at) if alert.ends_at else None,
        "generatorURL": alert.url,
    }


def _annotations(alert: Alert) -> dict[str, str]:
    own = {"value": alert.shown, "threshold": alert.threshold, "evidence": "; ".join(alert.evidence)}
    return own | dict(alert.annotations)


def _request(outgoing: Outgoing, target: Target) -> Request:
    ends = datetime.fromtimestamp(outgoing.timestamp, UTC) + 4 * max(_interval(target.settings), _SHORTEST)
    alerts = json.loads(outgoing.body)
    for alert in alerts:
        alert["endsAt"] = alert["endsAt"] or iso(ends)
    token = {"authorization": f"Bearer {target.secret.get_secret_value()}"} if target.secret else {}
    return post_json(target.url, to_json(alerts), token)


def _interval(settings: ReceiverBase) -> timedelta:
    return settings.interval if isinstance(settings, Alertmanager) else _SHORTEST


KIND = ReceiverKind(body=_body, request=_request)

"""PagerDuty by its Events API v2: what fires triggers, what resolves resolves, both under the group's key.

Limits of PagerDuty: 512 kB, summary 1,024 characters, dedup_key 255. The routing key joins the body at the moment of the
call, so that it stands in no table.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from alerts.receivers.base import (
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
from alerts.receivers.words import headline, links, paragraphs, severity
from remora.config.receivers import PagerDuty

__all__ = ["KIND", "MAX_BYTES"]

MAX_BYTES = 512_000
_MOST_ALERTS = 20
_SEVERITIES = {"page": "critical", "critical": "critical", "ticket": "warning", "warning": "warning", "error": "error"}  # fmt: skip


def _body(event: Event, settings: PagerDuty) -> bytes:  # noqa: ARG001  # PagerDuty has one format
    message: dict[str, Any] = {"event_action": _action(event), "dedup_key": _dedup_key(event)}
    if message["event_action"] == "trigger":
        message |= {
            "payload": _payload(event),
            "client": "Remora",
            "client_url": clip(event.external_url, 2000),
            "links": [{"href": url, "text": name} for name, url in links(event).items()],
        }
    return to_json(message)


def _action(event: Event) -> str:
    if event.type == "incident.acknowledged":
        return "acknowledge"
    return "trigger" if event.firing or event.type == "test" else "resolve"


def _dedup_key(event: Event) -> str:
    """The same for everything about one group of alerts or one incident."""
    about = event.incident.id if event.incident is not None else event.group_key or event.title
    return hashlib.sha256(about.encode("utf-8", "replace")).hexdigest()


def _payload(event: Event) -> dict[str, Any]:
    first = event.alerts[0] if event.alerts else None
    said = paragraphs(event, _MOST_ALERTS, 500)
    details = {
        f"{number}. {clip(part.heading, 200)}": dict(part.facts) for number, part in enumerate(said, start=1)
    }
    hidden = len(event.alerts) - _MOST_ALERTS
    if hidden > 0:
        details["more"] = {"alerts": str(hidden)}
    model = (
        event.incident.model if event.incident is not None else first.labels.get("model", "") if first else ""
    )
    return {
        "summary": clip(headline(event), 1024),
        "source": clip(model, 200) or "remora",
        "severity": _SEVERITIES.get(severity(event), "info"),
        "timestamp": iso(event.timestamp),
        "component": clip(model, 200) or "remora",
        "group": clip(first.labels.get("team", "") if first else "", 200) or "remora",
        "class": clip(first.name, 200) if first else event.type,
        "custom_details": details,
    }


def _request(outgoing: Outgoing, target: Target) -> Request:
    message = json.loads(outgoing.body)
    key = target.secret.get_secret_value() if target.secret is not None else ""
    return post_json(target.url, to_json({"routing_key": key, **message}))


KIND = ReceiverKind(body=_body, request=_request)

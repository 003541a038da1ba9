"""Slack incoming webhooks: what, how bad, since when, the likely cause, and buttons to where one can look.

Limits of Slack: header 150 characters, section 3,000, button text 75, URL 3,000, 50 blocks. Incoming webhooks can
neither edit nor thread, so what resolves is told in a message of its own.
"""

from __future__ import annotations

import json
from typing import Any

from alerts.receivers.base import (
    Alert,
    Event,
    Outgoing,
    ReceiverKind,
    Request,
    Target,
    clip,
    default_verdict,
)  # fmt: skip

__all__ = ["KIND"]

_MOST_ALERTS = 8
_MOST_BUTTONS = 5
_ICONS = {
    "alert.firing": ":red_circle:",
    "alert.resolved": ":large_green_circle:",
    "alert.no_data": ":white_circle:",
    "incident.opened": ":rotating_light:",
    "incident.escalated": ":rotating_light:",
    "incident.updated": ":information_source:",
    "incident.acknowledged": ":eyes:",
    "incident.resolved": ":white_check_mark:",
    "action.requested": ":wrench:",
}


def _body(event: Event, form: str) -> bytes:  # noqa: ARG001  # Slack has one format
    message = {"text": clip(_plain(event), 1000), "blocks": _blocks(event)}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(event: Event) -> str:
    """What a notification on a phone shows."""
    lead = "" if event.firing else "Resolved: "
    return _escape(f"{lead}{event.title}")


def _blocks(event: Event) -> list[dict[str, Any]]:
    icon = _ICONS.get(event.type, ":bell:")
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": clip(f"{icon} {event.title}", 150), "emoji": True}},
    ]  # fmt: skip
    if event.incident is not None:
        blocks.append(_section(_incident_text(event)))
        if event.incident.checklist:
            items = "\n".join(
                f":white_medium_square: {_escape(clip(item, 140))}" for item in event.incident.checklist[:20]
            )
            blocks.append(_section(items))
    blocks += [_section(_alert_text(alert)) for alert in event.alerts[:_MOST_ALERTS]]
    hidden = len(event.alerts) - _MOST_ALERTS
    if hidden > 0:
        blocks.append(_context(f"and {hidden} more"))
    if event.reason:
        blocks.append(_context(event.reason))
    buttons = _buttons(event)
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return blocks


def _incident_text(event: Event) -> str:
    incident = event.incident
    assert incident is not None  # noqa: S101  # the caller asked
    who = f" by {_escape(clip(incident.acknowledged_by, 100))}" if incident.acknowledged_by else ""
    return (
        f"*{_escape(clip(incident.title, 300))}*\n"
        f"model `{_escape(clip(incident.model, 150))}`, {_escape(clip(incident.severity, 50))}, {_escape(incident.state)}{who}, "
        f"since {_date(incident.opened_at.timestamp(), f'{incident.opened_at:%Y-%m-%d %H:%M} UTC')}"
    )


def _alert_text(alert: Alert) -> str:
    """Four lines at most: what, how bad against what, since when, likely cause."""
    summary = alert.annotations.get("summary") or alert.name
    icon = ":red_circle:" if alert.status == "firing" else ":large_green_circle:"
    lines = [f"{icon} *{_escape(clip(summary, 300))}*"]
    against = [text for text in (alert.threshold, alert.reference) if text]
    if alert.metric:
        measured = f"{_escape(alert.metric)} *{_escape(alert.shown)}*"
        lines.append(", ".join([measured, *(_escape(clip(text, 200)) for text in against)]))
    since = _date(alert.starts_at.timestamp(), f"{alert.starts_at:%Y-%m-%d %H:%M} UTC")
    until = (
        f" until {_date(alert.ends_at.timestamp(), f'{alert.ends_at:%Y-%m-%d %H:%M} UTC')}"
        if alert.ends_at
        else ""
    )
    where = ", ".join(
        f"{name} `{_escape(clip(alert.labels[name], 100))}`"
        for name in ("version", "segment", "feature")
        if alert.labels.get(name)
    )
    lines.append(f"since {since}{until}" + (f", {where}" if where else ""))
    if alert.evidence:
        lines.append("likely cause: " + _escape(clip("; ".join(alert.evidence), 400)))
    return "\n".join(lines)


def _buttons(event: Event) -> list[dict[str, Any]]:
    links: dict[str, str] = {}
    if event.incident is not None:
        links["Incident"] = event.incident.url
        links["Runbook"] = event.incident.runbook_url
    if event.alerts:
        links.setdefault("Look at it", event.alerts[0].url)
        links["Runbook"] = links.get("Runbook") or event.alerts[0].runbook_url
    links["Remora"] = event.external_url
    return [
        {"type": "button", "text": {"type": "plain_text", "text": clip(text, 75)}, "url": url}
        for text, url in links.items()
        if url.startswith(("http://", "https://")) and len(url) <= 3000
    ][:_MOST_BUTTONS]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": clip(text, 3000)}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": clip(_escape(text), 600)}]}


def _date(unix: float, fallback: str) -> str:
    """Slack shows it in the reader's own time zone."""
    return f"<!date^{int(unix)}^{{date_short_pretty}} {{time}}|{fallback}>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _request(outgoing: Outgoing, target: Target) -> Request:
    headers = {"content-type": "application/json; charset=utf-8", "user-agent": "remora"}
    return Request("POST", target.url, headers, outgoing.body)


KIND = ReceiverKind(body=_body, request=_request, verdict=default_verdict)

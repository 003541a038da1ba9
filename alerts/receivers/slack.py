"""Slack, by an incoming webhook or a bot: what, how bad, since when, the likely cause, and buttons to where one can look.

Limits of Slack: header 150 characters, section 3,000, button text 75, URL 3,000, 50 blocks. Incoming webhooks can
neither edit nor thread, so what resolves is told in a message of its own; a bot changes its newest message about it.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from alerts.receivers.base import (
    Alert,
    Answer,
    Event,
    Incident,
    Outgoing,
    ReceiverKind,
    Request,
    Target,
    Verdict,
    by_status,
    clip,
    post_json,
    to_json,
)  # fmt: skip
from alerts.receivers.words import headline, length, links
from remora.config.receivers import Slack

__all__ = ["KIND"]

_MOST_ALERTS = 8
_MOST_BUTTONS = 5
_SAID_ALREADY = {"first notification", "all alerts resolved"}
_CHANGES = (".resolved", ".acknowledged")  # what changes the newest message instead of adding one
_PASSING = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
}
_ICONS = {
    "alert.firing": ":red_circle:",
    "alert.resolved": ":large_green_circle:",
    "alert.no_data": ":white_circle:",
    "incident.opened": ":rotating_light:",
    "incident.escalated": ":rotating_light:",
    "incident.updated": ":information_source:",
    "incident.acknowledged": ":eyes:",
    "incident.resolved": ":white_check_mark:",
}


def _body(event: Event, settings: Slack) -> bytes:  # noqa: ARG001  # Slack has one format
    return to_json({"text": clip(_plain(event), 1000), "blocks": _blocks(event)})


def _plain(event: Event) -> str:
    """What a notification on a phone shows."""
    return _escape(headline(event))


def _blocks(event: Event) -> list[dict[str, Any]]:
    icon = _ICONS.get(event.type, ":bell:")
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": clip(f"{icon} {headline(event)}", 150), "emoji": True}},
    ]  # fmt: skip
    if event.incident is not None:
        blocks.append(_section(_incident_text(event, event.incident)))
    blocks += [_section(_alert_text(event, alert)) for alert in event.alerts[:_MOST_ALERTS]]
    hidden = len(event.alerts) - _MOST_ALERTS
    if hidden > 0:
        blocks.append(_context(f"and {hidden} more"))
    if event.incident is not None and event.incident.checklist and event.firing:
        items = [f"• {_escape(clip(item, 140))}" for item in event.incident.checklist[:20]]
        blocks.append(_section("\n".join(["*To do*", *items])))
    if event.reason and event.reason not in _SAID_ALREADY:
        blocks.append(_context(event.reason))
    buttons = _buttons(event)
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return blocks


def _incident_text(event: Event, incident: Incident) -> str:
    who = f" by {_escape(clip(incident.acknowledged_by, 100))}" if incident.acknowledged_by else ""
    what = (
        f"*Incident* of model `{_escape(clip(incident.model, 150))}` · {_escape(clip(incident.severity, 50))}"
    )
    if not event.firing:
        return f"{what} · resolved after {length(event.timestamp - incident.opened_at)}{who}"
    return f"{what} · {_escape(incident.state)}{who} · since {_date(incident.opened_at)}"


def _alert_text(event: Event, alert: Alert) -> str:
    """Five lines at most: what, how bad against what, since when or how long, and the likely cause."""
    summary = alert.annotations.get("summary") or alert.name
    lines = []
    if len(event.alerts) > 1 or (event.firing and summary != event.title):  # else the header says it
        icon = ":red_circle:" if alert.status == "firing" else ":large_green_circle:"
        lines.append(f"{icon} {_linked(clip(summary, 300), alert.url)}")
    lines += [_measured(alert), _when(event, alert)]
    if alert.evidence:
        lines.append("*Look first at:* " + _escape(clip("; ".join(alert.evidence), 400)))
    return "\n".join(filter(None, lines))


def _measured(alert: Alert) -> str:
    """How bad, against which threshold and reference; of a resolved one what is measured now, and what was."""
    if not alert.metric:
        return ""
    against = ", ".join(_escape(clip(text, 200)) for text in (alert.threshold, alert.reference) if text)
    what = f"*{_escape(alert.metric)}*"
    behind = f" ({against})" if against else ""
    if alert.status == "firing" or not alert.now:
        return f"{what} {_escape(alert.shown)}{behind}"
    return f"{what} is {_escape(alert.now)} now, was {_escape(alert.shown)}{behind}"


def _when(event: Event, alert: Alert) -> str:
    incident = event.incident
    names = (
        ("version", "segment", "feature")
        if incident is not None
        else ("model", "version", "segment", "feature")
    )
    where = "".join(
        f" · {name} `{_escape(clip(alert.labels[name], 100))}`" for name in names if alert.labels.get(name)
    )
    if alert.ends_at is None and incident is not None and alert.starts_at == incident.opened_at:
        return where.removeprefix(" · ")  # the incident's line says since when
    if alert.ends_at is None:
        return f"*Since* {_date(alert.starts_at)}{where}"
    return (
        f"*Lasted* {length(alert.ends_at - alert.starts_at)}, "
        f"from {_date(alert.starts_at)} to {_date(alert.ends_at)}{where}"
    )


def _linked(text: str, url: str) -> str:
    """Slack's link; its text must not hold the signs that end it."""
    if not url.startswith(("http://", "https://")) or any(sign in url for sign in "|<> "):
        return f"*{_escape(text)}*"
    return f"*<{url}|{_escape(' '.join(text.split())).replace('|', '¦')}>*"


def _buttons(event: Event) -> list[dict[str, Any]]:
    return [
        {"type": "button", "text": {"type": "plain_text", "text": clip(text, 75)}, "url": url}
        for text, url in links(event).items()
    ][:_MOST_BUTTONS]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": clip(text, 3000)}}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": clip(_escape(text), 600)}]}


def _date(instant: datetime) -> str:
    """Slack shows it in the reader's own time zone."""
    fallback = f"{instant:%Y-%m-%d %H:%M} UTC"
    return f"<!date^{int(instant.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _request(outgoing: Outgoing, target: Target) -> Request:
    if target.secret is None:
        return post_json(target.url, outgoing.body)
    message = json.loads(outgoing.body) | {"channel": getattr(target.settings, "channel", "")}
    url = target.url
    channel, _, ts = outgoing.reference.partition(" ")
    if ts and outgoing.kind.endswith(_CHANGES):
        message |= {"channel": channel, "ts": ts}
        url = SecretStr(url.get_secret_value().replace("chat.postMessage", "chat.update"))
    return post_json(
        url,
        to_json(message),
        {
            "authorization": f"Bearer {target.secret.get_secret_value()}",
            "content-type": "application/json; charset=utf-8",
        },
    )


def _verdict(answer: Answer) -> Verdict:
    """A webhook says it by its status; a bot's call is answered with 200 and `ok`, true or false."""
    said = re.search(rb'"error"\s*:\s*"(\w+)"', answer.excerpt)
    if answer.status == 200 and said and re.match(rb'\s*\{\s*"ok"\s*:\s*false', answer.excerpt):
        return Verdict.RETRY if said[1].decode() in _PASSING else Verdict.FINAL
    return by_status(answer)


def _reference(answer: Answer) -> str:
    """The channel and time stamp that name a bot's message."""
    channel = re.search(rb'"channel"\s*:\s*"(\w+)"', answer.excerpt)
    ts = re.search(rb'"ts"\s*:\s*"([\d.]+)"', answer.excerpt)
    return f"{channel[1].decode()} {ts[1].decode()}" if channel and ts else ""


KIND = ReceiverKind(body=_body, request=_request, verdict=_verdict, reference=_reference)

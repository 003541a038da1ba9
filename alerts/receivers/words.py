"""What people are told, in plain text: the same words for mails, cards, pagers and whatever apprise reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from alerts.receivers.base import Alert, Event, Incident, clip

__all__ = ["MOODS", "Paragraph", "headline", "length", "links", "paragraphs", "severity", "stamp"]

MOODS = {"page": "bad", "ticket": "warning"}
"""How a severity looks; what resolved is `good`, everything else `neutral`."""

_DIMENSIONS = ("model", "version", "segment", "feature", "slo", "receiver", "collector")


@dataclass(frozen=True)
class Paragraph:
    """One alert or incident: a heading, facts with a name, and whether it is over."""

    heading: str
    url: str
    over: bool
    facts: tuple[tuple[str, str], ...]


def headline(event: Event) -> str:
    """One line; it says first whether something is over."""
    if event.type == "incident.acknowledged":
        return f"Acknowledged: {event.title}"
    return event.title if event.firing or event.type == "test" else f"Resolved: {event.title}"


def severity(event: Event) -> str:
    """The worst severity that is in the event."""
    if event.incident is not None:
        return event.incident.severity
    found = [alert.labels.get("severity", "ticket") for alert in event.alerts]
    return next((word for word in ("page", "ticket") if word in found), found[0] if found else "info")


def paragraphs(event: Event, most: int, characters: int) -> list[Paragraph]:
    """What there is to say, the incident first; texts are cut to so many characters."""
    said = [_of_incident(event, event.incident, characters)] if event.incident else []
    return said + [_of_alert(alert, characters) for alert in event.alerts[:most]]


def _of_incident(event: Event, incident: Incident, characters: int) -> Paragraph:
    over = not event.firing
    facts = [("Incident", f"{incident.state} · {clip(incident.severity, 50)}")]
    facts.append(("Model", clip(incident.model, characters)))
    facts.append(
        ("Lasted", length(event.timestamp - incident.opened_at))
        if over
        else ("Since", stamp(incident.opened_at))
    )
    if incident.acknowledged_by:
        facts.append(("Taken by", clip(incident.acknowledged_by, characters)))
    if incident.checklist and not over:
        facts.append(("To do", "; ".join(clip(item, 140) for item in incident.checklist[:20])))
    return Paragraph(clip(incident.title, characters), incident.url, over, tuple(facts))


def _of_alert(alert: Alert, characters: int) -> Paragraph:
    summary = alert.annotations.get("summary") or alert.name
    facts = tuple((name, clip(text, characters)) for name, text in _facts(alert) if text)
    return Paragraph(
        clip(" ".join(summary.split()), characters), alert.url, alert.status == "resolved", facts
    )


def _facts(alert: Alert) -> Iterator[tuple[str, str]]:
    against = ", ".join(text for text in (alert.threshold, alert.reference) if text)
    behind = f" ({against})" if against else ""
    if alert.metric and alert.now and alert.status == "resolved":
        yield alert.metric, f"{alert.now} now, was {alert.shown}{behind}"
    elif alert.metric:
        yield alert.metric, f"{alert.shown}{behind}"
    if alert.ends_at is None:
        yield "Since", stamp(alert.starts_at)
    else:
        yield (
            "Lasted",
            f"{length(alert.ends_at - alert.starts_at)}, from {stamp(alert.starts_at)} to {stamp(alert.ends_at)}",
        )
    yield (
        "Where",
        " · ".join(f"{name} {alert.labels[name]}" for name in _DIMENSIONS if alert.labels.get(name)),
    )
    yield "Look first at", "; ".join(alert.evidence)
    description = alert.annotations.get("description", "")
    yield "More", description if description != alert.annotations.get("summary") else ""


def links(event: Event) -> dict[str, str]:
    """Where one can look, by what it is; only what a person can open."""
    found: dict[str, str] = {}
    if event.incident is not None:
        found["Incident"], found["Runbook"] = event.incident.url, event.incident.runbook_url
    if event.alerts:
        found.setdefault("Alert", event.alerts[0].url)
        found["Runbook"] = found.get("Runbook") or event.alerts[0].runbook_url
    models = {alert.labels.get("model", "") for alert in event.alerts}
    if event.incident is not None:
        models.add(event.incident.model)
    model = models.pop() if len(models) == 1 else ""
    found["Model" if model else "Remora"] = event.external_url + (
        f"/models/{quote(model, safe='', errors='replace')}" if model else ""
    )
    return {
        name: url
        for name, url in found.items()
        if url.startswith(("http://", "https://")) and len(url) <= 2000
    }


def stamp(instant: datetime) -> str:
    """An instant in UTC, as a mail has no other zone to show it in."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def length(span: timedelta) -> str:
    """In days and hours, or hours and minutes."""
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours = divmod(minutes // 60, 24)
    parts = [
        f"{days} d" if days else "",
        f"{hours} h" if hours else "",
        "" if days else f"{minutes % 60} min",
    ]
    kept = [part for part in parts if part and part != "0 min"]
    return " ".join(kept) or "less than a minute"

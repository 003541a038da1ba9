"""Microsoft Teams, by a workflow's URL: one Adaptive Card.

Limits of Teams: a message of 28 kB. A workflow's URL belongs to a person and dies with the account; it is a secret.
"""

from __future__ import annotations

from typing import Any

from alerts.receivers.base import Event, Outgoing, ReceiverKind, Request, Target, clip, post_json, to_json
from alerts.receivers.words import MOODS, Paragraph, headline, links, paragraphs, severity
from remora.config.receivers import Teams

__all__ = ["KIND", "MAX_BYTES"]

MAX_BYTES = 28_000
_SIZES = ((12, 400), (8, 200), (4, 100), (1, 60))  # alerts in a card, characters in a text
_COLOURS = {"bad": "Attention", "warning": "Warning", "good": "Good", "neutral": "Accent"}
_MARKED = str.maketrans({sign: f"\\{sign}" for sign in "\\*_[]()#`~<>|"})


def _body(event: Event, settings: Teams) -> bytes:  # noqa: ARG001  # Teams has one format
    for most, characters in _SIZES:
        body = to_json(_message(event, most, characters))
        if len(body) < MAX_BYTES:
            break
    return body


def _message(event: Event, most: int, characters: int) -> dict[str, Any]:
    said = paragraphs(event, most, characters)
    elements = [_title(event, characters), *(part for one in said for part in _paragraph(event, one))]
    hidden = len(event.alerts) - most
    if hidden > 0:
        elements.append(_text(f"and {hidden} more", isSubtle=True))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "fallbackText": clip(headline(event), characters),
        "body": elements,
        "actions": [
            {"type": "Action.OpenUrl", "title": name, "url": url} for name, url in links(event).items()
        ],
        "msteams": {"width": "full"},
    }
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [content]}


def _title(event: Event, characters: int) -> dict[str, Any]:
    mood = MOODS.get(severity(event), "neutral") if event.firing else "good"
    return _text(clip(headline(event), characters), weight="Bolder", size="Medium", color=_COLOURS[mood])


def _paragraph(event: Event, said: Paragraph) -> list[dict[str, Any]]:
    facts = [{"title": _escape(name), "value": _escape(text)} for name, text in said.facts]
    shown: list[dict[str, Any]] = [{"type": "FactSet", "facts": facts}]
    if said.heading == event.title:  # the card's title says it
        return shown
    colour = _COLOURS["good" if said.over else "neutral"]
    return [_text(said.heading, weight="Bolder", color=colour, separator=True), *shown]


def _text(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _escape(text), "wrap": True, **style}


def _escape(text: str) -> str:
    """Cards read a part of Markdown: no text from outside becomes a link or a heading."""
    return " ".join(text.replace("\x00", "").split()).translate(_MARKED)


def _request(outgoing: Outgoing, target: Target) -> Request:
    return post_json(target.url, outgoing.body)


KIND = ReceiverKind(body=_body, request=_request)

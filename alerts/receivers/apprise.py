"""Whatever apprise reaches, as plain text. Best effort: it says only whether it worked, and where it goes is its own."""

from __future__ import annotations

import json

from alerts.receivers.base import Event, Notice, Outgoing, ReceiverKind, Target, clip, to_json
from alerts.receivers.words import headline, links, paragraphs, severity
from remora.config.receivers import Apprise

__all__ = ["KIND"]

_MOST_ALERTS = 5


def _body(event: Event, settings: Apprise) -> bytes:  # noqa: ARG001  # a text is a text
    lines = []
    for said in paragraphs(event, _MOST_ALERTS, 300):
        if said.heading != event.title:
            lines.append(said.heading)
        lines += [f"{name}: {text}" for name, text in said.facts]
    hidden = len(event.alerts) - _MOST_ALERTS
    lines += [f"and {hidden} more"] if hidden > 0 else []
    lines += [f"{name}: {url}" for name, url in links(event).items()]
    mood = "failure" if severity(event) == "page" else "warning"
    message = {
        "title": clip(" ".join(headline(event).split()), 200),
        "text": clip("\n".join(lines), 3500),
        "mood": mood if event.firing else "success",
    }
    return to_json(message)


def _request(outgoing: Outgoing, target: Target) -> Notice:
    message = json.loads(outgoing.body)
    return Notice(target.url, message["title"], message["text"], message["mood"])


KIND = ReceiverKind(body=_body, request=_request)

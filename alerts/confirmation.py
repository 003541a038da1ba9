"""The page behind a signed link. GET asks, POST does: whoever only looks, a mail scanner for one, changes nothing."""

from __future__ import annotations

import html
from datetime import timedelta
from urllib.parse import parse_qs

from fastapi import HTTPException
from fastapi.responses import HTMLResponse

from alerts.bodies import Acknowledgement, Quiet
from alerts.desk import Desk
from alerts.ledger import ActionRow, IncidentRow
from alerts.links import Permission

__all__ = ["ask", "do", "failed"]

_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}
_WORDS = {
    "acknowledge": ("Acknowledge", "You take this incident; nobody else is called until it is over."),
    "silence": ("Silence for 2 hours", "Its alerts stay quiet for two hours. The incident goes on."),
    "approve": ("Approve", "The update is started now."),
    "reject": ("Reject", "The update is not started."),
}
_QUIET = timedelta(hours=2)
_LONGEST_NAME = 100


def ask(desk: Desk, word: str) -> HTMLResponse:
    """What the link would do, and a button that does it."""
    permission = desk.permission(word)
    if permission is None or permission.verb not in _WORDS:
        return _expired()
    subject = desk.subject(permission)
    if subject is None:
        return _expired()
    button, text = _WORDS[permission.verb]
    over = _too_late(permission, subject)
    if over:
        return _page(_title(subject), f"<p>{html.escape(over)}</p>")
    return _page(
        _title(subject),
        f"<p>{html.escape(text)}</p>"
        '<form method="post"><label>Your name <input name="by" required maxlength="100" autocomplete="name"></label> '
        f'<label>Note <input name="note" maxlength="1000"></label> <button>{html.escape(button)}</button></form>'
        f'<p class="soft">The link works until {permission.expires_at:%Y-%m-%d %H:%M} UTC.</p>',
    )


def do(desk: Desk, word: str, raw: bytes) -> HTMLResponse:
    """Do it, in the name that the form gives."""
    permission = desk.permission(word)
    if permission is None or permission.verb not in _WORDS:
        return _expired()
    form = parse_qs(raw.decode("utf-8", "replace"), max_num_fields=10)
    by = form.get("by", [""])[0].strip().replace("\x00", "")[:_LONGEST_NAME]
    note = form.get("note", [""])[0].strip().replace("\x00", "")[:1000]
    if not by:
        return _page("A name is needed", "<p>Go back and say who you are.</p>", 422)
    body = Acknowledgement(by=f"{by} (link)", note=note or None)
    if permission.verb == "acknowledge":
        desk.acknowledge(permission.subject, body)
        return _page("Acknowledged", f"<p>{html.escape(by)} takes it.</p>")
    if permission.verb == "silence":
        made = desk.silence(permission.subject, Quiet(by=body.by, duration=_QUIET))
        return _page("Silenced", f"<p>{len(made['silences'])} alerts stay quiet for two hours.</p>")
    done = desk.decide(permission.verb, permission.subject, body)
    return _page("Done", f"<p>The action is {html.escape(str(done['state']))} now.</p>")


def failed(error: HTTPException) -> HTMLResponse:
    """What was not possible, in words."""
    return _page("That is not possible", f"<p>{html.escape(str(error.detail))}</p>", error.status_code)


def _too_late(permission: Permission, subject: IncidentRow | ActionRow) -> str:
    if isinstance(subject, ActionRow):
        return "" if subject.state == "waiting" else f"Nothing to decide: the action is {subject.state}."
    if subject.state == "resolved":
        return "The incident is resolved already."
    if permission.verb == "acknowledge" and subject.state == "acknowledged":
        return f"{subject.acknowledged_by} has taken it already."
    return ""


def _title(subject: IncidentRow | ActionRow) -> str:
    if isinstance(subject, ActionRow):
        return f"{subject.name} for {subject.model}: {subject.reason}"
    return subject.title


def _expired() -> HTMLResponse:
    text = "<p>It has expired, or it is not whole. The incident's page has the same buttons.</p>"
    return _page("This link does not work", text, 404)


def _page(title: str, inside: str, status: int = 200) -> HTMLResponse:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)} · Remora</title>"
        '<link rel="stylesheet" href="/static/style.css"></head>'
        f'<body><main><section class="card"><h1>{html.escape(title)}</h1>{inside}</section></main></body></html>'
    )
    return HTMLResponse(text, status, _HEADERS)

"""Mail: text and HTML of the same words. Mails about one group or incident are one thread, until it has resolved."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from alerts.receivers.base import Answer, Event, Mail, Outgoing, ReceiverKind, Target, Verdict, clip, to_json
from alerts.receivers.words import MOODS, Paragraph, headline, links, paragraphs, severity
from remora.config.receivers import Email, ReceiverBase

__all__ = ["KIND"]

_MOST_ALERTS = 20
_COLOURS = {"bad": "#d92d20", "warning": "#b7791f", "good": "#2ba24c", "neutral": "#1264a3"}


def _body(event: Event, settings: Email) -> bytes:  # noqa: ARG001  # sender and recipients are the attempt's
    said = paragraphs(event, _MOST_ALERTS, 500)
    hidden = max(0, len(event.alerts) - _MOST_ALERTS)
    message = {
        "subject": clip(_plain(headline(event)), 200),
        "text": _text(event, said, hidden),
        "html": _html(event, said, hidden),
    }
    return to_json(message)


def _plain(text: str) -> str:
    """One line without control characters: what a header may hold."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split()) or "Remora"


def _text(event: Event, said: list[Paragraph], hidden: int) -> str:
    blocks = [_plain(headline(event))]
    for part in said:
        facts = "\n".join(f"  {name}: {_plain(text)}" for name, text in part.facts)
        mark = "resolved" if part.over else "firing"
        heading = "" if part.heading == event.title else f"{_plain(part.heading)} ({mark})\n"
        blocks.append(heading + facts)
    if hidden:
        blocks.append(f"and {hidden} more")
    blocks.append("\n".join(f"{name}: {url}" for name, url in links(event).items()))
    return "\n\n".join(blocks) + "\n"


def _html(event: Event, said: list[Paragraph], hidden: int) -> str:
    colour = _COLOURS[MOODS.get(severity(event), "neutral") if event.firing else "good"]
    more = f"<p>and {hidden} more</p>" if hidden else ""
    buttons = "".join(
        f'<a href="{html.escape(url)}" style="display:inline-block;margin:0 8px 8px 0;padding:6px 14px;'
        f'border:1px solid #c9ced6;border-radius:4px;color:#1d1c1d;text-decoration:none">{html.escape(name)}</a>'
        for name, url in links(event).items()
    )
    return (
        '<!doctype html><html><head><meta charset="utf-8"></head>'
        '<body style="margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif;color:#1d1c1d">'
        f'<div style="max-width:640px;border-left:4px solid {colour};padding:2px 0 2px 16px">'
        f'<h2 style="margin:0 0 12px;font-size:18px;line-height:1.35">{html.escape(_plain(headline(event)))}</h2>'
        f"{''.join(_section(event, part) for part in said)}{more}{buttons}</div></body></html>"
    )


def _section(event: Event, part: Paragraph) -> str:
    colour = _COLOURS["good" if part.over else "neutral"]
    heading = (
        ""
        if part.heading == event.title
        else f'<h3 style="margin:12px 0 4px;font-size:15px;color:{colour}">{html.escape(_plain(part.heading))}</h3>'
    )
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;color:#616061;vertical-align:top;white-space:nowrap">'
        f'{html.escape(_plain(name))}</td><td style="padding:2px 0;overflow-wrap:anywhere">{html.escape(_plain(text))}</td></tr>'
        for name, text in part.facts
    )
    return f'{heading}<table style="border-collapse:collapse;margin:0 0 12px">{rows}</table>'


def _request(outgoing: Outgoing, target: Target) -> Mail:
    settings = _settings(target.settings)
    own = f"<{outgoing.id}@{settings.from_.rpartition('@')[2].strip('> ')}>"
    return Mail(
        host=settings.host,
        port=settings.port,
        tls=settings.tls,
        username=settings.username or "",
        password=target.secret,
        sender=settings.from_,
        recipients=settings.to,
        message=_message(settings, outgoing, own).as_bytes(policy=SMTP),
        thread=outgoing.reference or own,
    )


def _settings(settings: ReceiverBase) -> Email:
    if not isinstance(settings, Email):
        raise TypeError(f"mail is not sent with the settings of {type(settings).__name__}")
    return settings


def _message(settings: Email, outgoing: Outgoing, own: str) -> EmailMessage:
    frozen = json.loads(outgoing.body)
    message = EmailMessage(policy=SMTP)
    message["Subject"], message["From"], message["To"] = (
        frozen["subject"],
        settings.from_,
        ", ".join(settings.to),
    )
    message["Date"] = format_datetime(datetime.fromtimestamp(outgoing.timestamp, UTC))
    message["Message-ID"] = own
    if outgoing.reference:
        message["In-Reply-To"] = message["References"] = outgoing.reference
    message["Auto-Submitted"] = "auto-generated"  # no holiday replies
    message.set_content(frozen["text"])
    message.add_alternative(frozen["html"], subtype="html")
    return message


def _verdict(answer: Answer) -> Verdict:
    """SMTP's own codes: 2xx is taken, 4xx is worth another try, 5xx is not."""
    if 200 <= answer.status < 300:
        return Verdict.DELIVERED
    return Verdict.FINAL if answer.status >= 500 else Verdict.RETRY


def _reference(answer: Answer) -> str:
    return answer.excerpt.decode("ascii", "replace") if answer.status < 300 else ""


KIND = ReceiverKind(body=_body, request=_request, verdict=_verdict, reference=_reference)

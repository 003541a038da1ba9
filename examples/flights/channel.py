"""A page that looks like a chat channel: what Slack and a pager would have shown, on this machine."""

from __future__ import annotations

import html
import json
import re
import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = ["Channel", "mrkdwn", "page"]

KEPT = 200
_LINK = re.compile(r"<(https?://[^|>\s]+)(?:\|([^>]*))?>")
_MARKS = (
    (re.compile(r"```(.+?)```", re.DOTALL), r"<pre>\1</pre>"),
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)"), r"<b>\1</b>"),
    (re.compile(r"(?<!\w)_([^_\n]+)_(?!\w)"), r"<i>\1</i>"),
)
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:0;background:#fff;color:#1d1c1d}
header{background:#3f0e40;color:#fff;padding:12px 20px;font-weight:700;position:sticky;top:0}
main{max-width:820px;padding:8px 20px}
article{display:flex;gap:12px;padding:10px 0;border-bottom:1px solid #eee}
.face{width:36px;height:36px;border-radius:6px;background:#1264a3;color:#fff;display:grid;place-items:center;font-weight:700}
.pager .face{background:#c0392b}.said{flex:1;min-width:0}time,.context{color:#616061;font-size:12.5px}
h3{margin:4px 0}.fields{display:grid;grid-template-columns:1fr 1fr;gap:4px 16px}
.button{display:inline-block;border:1px solid #bbb;border-radius:4px;padding:4px 12px;margin:6px 8px 0 0;color:inherit;text-decoration:none}
pre,code{background:#f6f6f6;border:1px solid #e8e8e8;border-radius:3px;padding:1px 4px;white-space:pre-wrap;overflow-wrap:anywhere}
"""


class Channel:
    """The last 200 messages, safe to use from several threads; each is appended to ``log`` as a line of JSON."""

    def __init__(self, log: Path | None = None) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._messages: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, kind: str, body: Any, at: datetime) -> None:
        message = {"at": at.isoformat(timespec="seconds"), "kind": kind, "body": body}
        with self._lock:
            self._messages.append(message)
            if self._log:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(message) + "\n")

    def messages(self) -> list[dict[str, Any]]:
        """Newest first."""
        with self._lock:
            return list(reversed(self._messages))


def page(messages: list[dict[str, Any]]) -> str:
    """The whole HTML page; everything that came from outside is escaped."""
    articles = "".join(_article(message) for message in messages) or "<p>Nothing has been said yet.</p>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
        f"<title># flights-alerts</title><style>{_STYLE}</style>"
        f"<header># flights-alerts</header><main>{articles}</main></html>"
    )


def mrkdwn(text: Any) -> str:
    """Slack's mark-up as HTML: bold, italics, code and links to http(s); the rest stays text."""
    parts, end, text = [], 0, str(text)
    for link in _LINK.finditer(text):
        parts.append(_marked(text[end : link.start()]))
        address, words = link.group(1), link.group(2) or link.group(1)
        parts.append(f'<a href="{_plain(address)}" rel="noreferrer">{_plain(words)}</a>')
        end = link.end()
    return "".join([*parts, _marked(text[end:])])


def _marked(text: str) -> str:
    marked = _plain(text)
    for pattern, replacement in _MARKS:
        marked = pattern.sub(replacement, marked)
    return marked.replace("\n", "<br>")


def _plain(text: Any) -> str:
    # Slack's senders escape &, < and > themselves: undo it, then escape everything for HTML.
    return html.escape(html.unescape(str(text)))


def _article(message: dict[str, Any]) -> str:
    kind, body = message["kind"], message["body"]
    said = _slack(body) if kind == "slack" else f"<pre>{html.escape(json.dumps(body, indent=2))}</pre>"
    who = "Remora" if kind == "slack" else "Pager"
    return (
        f'<article class="{html.escape(kind)}"><div class="face">{who[0]}</div><div class="said">'
        f"<b>{who}</b> <time>{html.escape(message['at'])}</time>{said}</div></article>"
    )


def _slack(body: dict[str, Any]) -> str:
    blocks = [block for block in _list(body.get("blocks")) if isinstance(block, dict)]
    return "".join(_block(block) for block in blocks) or f"<div>{mrkdwn(body.get('text', ''))}</div>"


def _block(block: dict[str, Any]) -> str:
    match block.get("type"):
        case "header":
            return f"<h3>{_plain(_text(block.get('text')))}</h3>"
        case "section":
            fields = "".join(f"<div>{mrkdwn(_text(field))}</div>" for field in _list(block.get("fields")))
            words = f"<div>{mrkdwn(_text(block['text']))}</div>" if block.get("text") else ""
            return words + (f'<div class="fields">{fields}</div>' if fields else "")
        case "context":
            return f'<div class="context">{" ".join(mrkdwn(_text(e)) for e in _list(block.get("elements")))}</div>'
        case "actions":
            return "".join(_button(element) for element in _list(block.get("elements")))
        case "divider":
            return "<hr>"
        case other:
            return f"<div>[{html.escape(str(other))}]</div>"


def _button(element: Any) -> str:
    element = element if isinstance(element, dict) else {}
    words, address = _plain(_text(element.get("text"))), str(element.get("url", ""))
    if not address.startswith(("http://", "https://")):
        return f'<span class="button">{words}</span>'
    return f'<a class="button" href="{html.escape(address)}" rel="noreferrer">{words}</a>'


def _text(element: Any) -> str:
    return str(element.get("text", "")) if isinstance(element, dict) else str(element or "")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

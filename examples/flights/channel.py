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
_LINK = re.compile(r"<(?:(https?://[^|>\s]+)(?:\|([^>]*))?|!date\^\d+\^[^|>]*\|([^>]*))>")
_HELD = re.compile("\x00(\\d+)\x00")
_EMOJI = re.compile(r":([a-z_]{3,40}):")
_FACES = {  # colour and sign of the emoji that Remora sends, drawn here because not every machine has them as a font
    "red_circle": ("#d92d20", ""), "large_green_circle": ("#2ba24c", ""), "white_circle": ("#9aa0a6", ""),
    "rotating_light": ("#d92d20", "!"), "white_check_mark": ("#2ba24c", "✓"), "eyes": ("#1264a3", "◉"),
    "information_source": ("#1264a3", "i"), "wrench": ("#6b5b95", "⚙"), "bell": ("#b7791f", "!"),
}  # fmt: skip
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
h3{margin:2px 0 4px;font-size:16px;line-height:1.35}
.face-of{display:inline-grid;place-items:center;width:14px;height:14px;border-radius:50%;color:#fff;font:700 10px/1 sans-serif;vertical-align:middle;margin-top:-3px}
details{margin-top:4px}summary{cursor:pointer;color:#1264a3;font-size:13px}.fields{display:grid;grid-template-columns:1fr 1fr;gap:4px 16px}
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
    """Slack's mark-up as HTML: bold, italics, code, times, emoji and links to http(s); the rest stays text."""
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        address, words, instant = found.groups()
        made = (
            f'<a href="{_plain(address)}" rel="noreferrer">{_plain(words or address)}</a>' if address else ""
        )
        held.append(made or f"<span>{_plain(instant)}</span>")
        return f"\x00{len(held) - 1}\x00"

    marked = _marked(_LINK.sub(hold, str(text).replace("\x00", "")))
    return _HELD.sub(lambda found: held[int(found[1])], marked)


def _marked(text: str) -> str:
    marked = _with_faces(text)
    for pattern, replacement in _MARKS:
        marked = pattern.sub(replacement, marked)
    return marked.replace("\n", "<br>")


def _with_faces(text: str) -> str:
    """Plain text with the emoji that are known; others keep their names."""

    def face(found: re.Match[str]) -> str:
        colour, sign = _FACES.get(found[1], ("", ""))
        name = found[0].replace("_", "&#95;")  # no italics in it
        return (
            f'<span class="face-of" style="background:{colour}" title="{name}">{sign}</span>'
            if colour
            else found[0]
        )

    return _EMOJI.sub(face, _plain(text))


def _plain(text: Any) -> str:
    # Slack's senders escape &, < and > themselves: undo it, then escape everything for HTML.
    return html.escape(html.unescape(str(text)))


def _article(message: dict[str, Any]) -> str:
    kind, body = message["kind"], message["body"]
    said = _slack(body) if kind == "slack" else _paged(body)
    who = "Remora" if kind == "slack" else "Pager"
    return (
        f'<article class="{html.escape(kind)}"><div class="face">{who[0]}</div><div class="said">'
        f"<b>{who}</b> <time>{html.escape(message['at'][:19].replace('T', ' '))}</time>{said}</div></article>"
    )


def _paged(body: Any) -> str:
    """What a pager would say; the whole call is folded away."""
    data = body.get("data") if isinstance(body, dict) else None
    title = str(data.get("title", "")) if isinstance(data, dict) else ""
    kind = str(body.get("type", "")) if isinstance(body, dict) else ""
    whole = f"<details><summary>the signed call</summary><pre>{html.escape(json.dumps(body, indent=2))}</pre></details>"
    return f'<h3>{html.escape(title)}</h3><div class="context">{html.escape(kind)}</div>{whole}'


def _slack(body: dict[str, Any]) -> str:
    blocks = [block for block in _list(body.get("blocks")) if isinstance(block, dict)]
    return "".join(_block(block) for block in blocks) or f"<div>{mrkdwn(body.get('text', ''))}</div>"


def _block(block: dict[str, Any]) -> str:
    match block.get("type"):
        case "header":
            return f"<h3>{_with_faces(_text(block.get('text')))}</h3>"
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

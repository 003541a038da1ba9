"""Read the text of a body: JSON as servers write it, CSV as model servers take it."""

from __future__ import annotations

import csv
import json
from typing import Any

import msgspec

from collector.errors import UnreadableError
from collector.formats.base import Message

__all__ = ["cell", "is_json", "loads", "table"]

_decode = msgspec.json.Decoder().decode
_SAY_NOTHING = {"", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"}


def is_json(message: Message) -> bool:
    """JSON by its content type, or by its first character where the type says nothing."""
    kind = message.content_type
    if kind == "application/json" or kind.endswith("+json"):
        return True
    return kind in _SAY_NOTHING and message.body[:64].lstrip()[:1] in {b"{", b"["}


def loads(body: bytes, reason: str) -> Any:
    """JSON with NaN and Infinity read as null; of a key that comes twice the last holds. Raises UnreadableError."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise UnreadableError(reason) from None


def table(body: bytes, reason: str) -> list[list[str]]:
    """The lines of a CSV body that are not empty. Raises UnreadableError with `reason`."""
    try:
        text = body.decode("utf-8-sig")
        return [line for line in csv.reader(text.splitlines(), strict=True) if line]
    except (UnicodeDecodeError, csv.Error):
        raise UnreadableError(reason) from None


def cell(text: str) -> Any:
    """A cell's value: a number where it is one, null where it is empty, else its text.

    What begins with a needless zero, as a postcode, is text: as a number it would lose it.
    """
    text = text.strip()
    if not text:
        return None
    if text[0] in "+-.0123456789" and not (text[0] == "0" and text[1:2].isdecimal()):
        try:
            return int(text) if text.lstrip("+-").isdecimal() and len(text) < 20 else float(text)
        except ValueError:
            return text
    return text

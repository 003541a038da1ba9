"""Signed words: what their bearer may do, to what, and until when. Whoever has one needs no token.

`base64url(JSON).base64url(HMAC-SHA256)`. They stand in links of messages and in what a model update reports back with.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Permission", "read", "write"]

_LONGEST = 500


@dataclass(frozen=True)
class Permission:
    """`verb` is acknowledge, silence, approve, reject or report; `subject` the id of what it may be done to."""

    verb: str
    subject: str
    expires_at: datetime


def write(key: bytes, permission: Permission) -> str:
    """The permission as a word that fits into a URL."""
    body = _encode(
        json.dumps(
            {"v": permission.verb, "s": permission.subject, "e": int(permission.expires_at.timestamp())},
            separators=(",", ":"),
        ).encode()
    )
    return f"{body}.{_mac(key, body)}"


def read(key: bytes, word: str, now: datetime) -> Permission | None:
    """What a word permits; None for one that is not ours, was changed, or has expired."""
    body, _, mac = word.partition(".")
    if len(word) > _LONGEST or not word.isascii() or not hmac.compare_digest(mac, _mac(key, body)):
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        permission = Permission(found["v"], found["s"], datetime.fromtimestamp(found["e"], UTC))
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError):
        return None
    return permission if now < permission.expires_at else None


def _mac(key: bytes, body: str) -> str:
    return _encode(hmac.digest(key, body.encode(), hashlib.sha256))


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

"""Standard Webhooks 1.0.0 signatures, symmetric: HMAC-SHA256 over `id.timestamp.body`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["TOLERANCE_SECONDS", "check_secret", "sign", "verify"]

TOLERANCE_SECONDS = 300
_PREFIX = "whsec_"


def check_secret(secret: str) -> str | None:
    """What is wrong with a secret, without showing it; None when it is good."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return "is not a webhook secret: write whsec_ and 24 to 64 random bytes in base64"
    if not 24 <= len(key) <= 64:
        return f"has {len(key)} bytes: a webhook secret has 24 to 64, written whsec_ and base64"
    return None


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`; `timestamp` is in unix seconds of the attempt."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def verify(secret: str, headers: dict[str, str], body: bytes, now: float) -> str | None:
    """Why a received message is not to be believed, or None. `headers` have lower-case names, `now` unix seconds."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not headers.get("webhook-signature"):
        return "webhook-id, webhook-timestamp and webhook-signature are needed"
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return "webhook-timestamp is not in unix seconds"
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        return "webhook-timestamp is more than 5 minutes away from now"
    expected = sign(secret, message_id, int(stamp), body).encode()
    given = headers["webhook-signature"].encode().split()
    if not any(hmac.compare_digest(expected, one) for one in given):
        return "the signature does not fit"
    return None

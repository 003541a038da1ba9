"""Standard Webhooks signatures (standardwebhooks.com, specification 1.0.0), symmetric: HMAC-SHA256 under ``v1,``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

__all__ = ["SignatureError", "key", "sign", "verify"]

TOLERANCE_SECONDS = 300


class SignatureError(Exception):
    """The message does not prove that it comes from who shares the secret; the text says what is wrong."""


def key(secret: str) -> bytes:
    """The bytes of a secret written ``whsec_<base64>``."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise SignatureError("the secret is not base64 (whsec_...)") from None


def sign(secret: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers for a message; ``timestamp`` is unix seconds."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + _signature(secret, message_id, timestamp, body),
    }


def verify(secret: bytes, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a message that is signed with our secret and not older or newer than five minutes."""
    message_id = headers.get("webhook-id", "")
    signatures = headers.get("webhook-signature", "")
    if not message_id or not signatures:
        raise SignatureError("webhook-id and webhook-signature are needed")
    try:
        timestamp = int(headers.get("webhook-timestamp", ""))
    except ValueError:
        raise SignatureError("webhook-timestamp must be unix seconds") from None
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        raise SignatureError(f"webhook-timestamp is more than {TOLERANCE_SECONDS} s away from now")
    expected = f"v1,{_signature(secret, message_id, timestamp, body)}".encode()
    # All are compared: a rotated secret sends two, and the time must not tell which one was right.
    matches = [hmac.compare_digest(expected, given.encode()) for given in signatures.split(" ")]
    if not any(matches):
        raise SignatureError("the signature does not match")
    return message_id


def _signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()

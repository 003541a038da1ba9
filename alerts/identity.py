"""Names of things: fingerprints of labels, keys of groups, and ids that sort by time."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from datetime import datetime

__all__ = ["event_id", "fingerprint", "group_key", "new_id"]

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_lock = threading.Lock()
_last: dict[str, tuple[int, int]] = {}  # by prefix: some follow business time, some the real one


def new_id(prefix: str, at: datetime) -> str:
    """`prefix_` and a ULID: ids of one process, prefix and millisecond sort as they were made."""
    millisecond = int(at.timestamp() * 1000)
    with _lock:
        before, random = _last.get(prefix, (0, 0))
        random = random + 1 if before == millisecond else int.from_bytes(os.urandom(9))
        _last[prefix] = (millisecond, random)
    number = (millisecond << 80) | random
    text = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{text}"


def fingerprint(labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits that tell one set of labels from another."""
    return _digest(sorted(labels.items()))[:16]


def event_id(*parts: object) -> str:
    """The same event has the same id, whoever decides it."""
    return "evt_" + _digest([str(part) for part in parts])[:32]


def group_key(match: Mapping[str, str], labels: Mapping[str, str]) -> str:
    """A group's name as Alertmanager writes it: `{}/{severity="page"}:{alertname="DriftHigh"}`."""
    route = f"/{_braces(match)}" if match else ""
    return f"{{}}{route}:{_braces(labels)}"


def _braces(labels: Mapping[str, str]) -> str:
    pairs = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items()))
    return "{" + ", ".join(pairs) + "}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()

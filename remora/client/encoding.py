"""Ids, and values as JSON has them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["new_id", "plain"]


def new_id() -> str:
    """A new id, 26 hexadecimal digits: milliseconds, then chance."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(7)}"


def plain(value: Any) -> Any:
    """Numbers and arrays of numpy and pandas, dates, mappings, sets: as JSON has them; else their text."""
    for name in ("item", "tolist", "isoformat"):
        if hasattr(value, name):
            try:
                return getattr(value, name)()
            except (TypeError, ValueError):
                continue
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, set | frozenset) else str(value)

"""A row of the outbox, as whoever sends it has it in hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Delivery"]


@dataclass(frozen=True)
class Delivery:
    """A claimed row of the outbox."""

    id: str
    receiver: str
    kind: str
    body: bytes
    order_key: str
    attempts: int
    expires_at: datetime
    manual: bool

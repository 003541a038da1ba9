"""A transaction at an instant: what every decision about incidents needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from remora.config import Config

__all__ = ["Turn"]


@dataclass(frozen=True)
class Turn:
    """`at` is business time, the instant at which things happen; `wall` is the real time, for deliveries."""

    connection: sa.Connection
    config: Config
    at: datetime
    wall: datetime

"""What was found of a metric in a window, as rules read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """A row of `findings`, as far as rules read it."""

    model: str
    version: str
    segment: str
    metric: str
    feature: str
    window_start: datetime
    window_end: datetime
    value: float | None
    reference_value: float | None
    threshold: float | None
    size: int
    coverage: float | None
    verdict: str
    reason: str
    effect: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)  # causes and segments, ranked

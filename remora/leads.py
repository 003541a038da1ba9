"""In words, where to look first: the features and segments that a finding ranks in its `details`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["first_leads", "leads_of"]

_FEATURES, _SEGMENTS = 3, 2  # as many as somebody reads at night


def leads_of(details: Mapping[str, Any]) -> list[str]:
    """One line per feature and per segment, the likeliest first; empty where the finding ranks none."""
    causes, segments = details.get("causes", ())[:_FEATURES], details.get("segments", ())[:_SEGMENTS]
    return [
        *(
            f"{one['feature']} moved: likely {_percent(one['share'])} of the score's movement"
            for one in causes
        ),
        *(
            f"{one['segment']}: {_percent(one['share'])} of the loss from {_percent(one['rows'])} of the rows"
            for one in segments
        ),
    ]


def first_leads(findings: Iterable[Any]) -> list[str]:
    """Those of the first of these findings that ranks any; empty where none does."""
    return next((leads for finding in findings if (leads := leads_of(finding.details))), [])


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")

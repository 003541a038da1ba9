"""Which features appear, disappear or change their kind: what a request is made of, against what the reference was.

A feature counts as there when it has a value in 1 % of the rows, and as gone when in none: one that is only rare is not
reported to and fro. One of both kinds is of the one that more rows have. Names are said, values never.
"""

from __future__ import annotations

from collections.abc import Mapping

from detectors.base import ALARM, NOT_ENOUGH_DATA, OK, ColumnReference, ColumnWindow, Result, unknown

__all__ = ["METRIC", "PRESENT", "judge"]

METRIC = "schema_changes"
PRESENT = 0.01  # a share of the rows
_NAMED = 3  # features in a sentence; `details` have the first hundred
_LISTED = 100
_KINDS = ("numeric", "categorical")


def judge(
    reference: Mapping[str, ColumnReference], current: Mapping[str, ColumnWindow], rows: int, min_samples: int
) -> Result:
    """How many features changed; `rows` were answered. The score and the prediction (`$…`) are no features."""
    known = {name: column.kind for name, column in reference.items() if not name.startswith("$")}
    if rows < min_samples or not known:
        why = (
            f"{rows} rows, {min_samples} are needed: wait, or choose longer windows"
            if known
            else "the reference has no features: build one with `remora reference build`"
        )
        return unknown(NOT_ENOUGH_DATA, f"Nothing on changes of the schema: {why}.", rows)
    counts = {name: _counts(window) for name, window in current.items() if not name.startswith("$")}
    there = {name for name, by_kind in counts.items() if sum(by_kind.values()) >= max(1, PRESENT * rows)}
    changes = {
        "appeared": sorted(there - set(known)),
        "disappeared": sorted(name for name in known if not sum(counts.get(name, {}).values())),
        "changed_kind": sorted(name for name in there & set(known) if _kind(counts[name]) != known[name]),
    }
    value = sum(map(len, changes.values()))
    details = {what: names[:_LISTED] for what, names in changes.items() if names}
    return Result(
        float(value),
        ALARM if value else OK,
        _reason(changes, len(known)),
        rows,
        reference_value=0.0,
        threshold=0.0,
        details=details,
    )


def _counts(window: ColumnWindow) -> dict[str, int]:
    return {kind: summary.count for kind in _KINDS if (summary := window.of_kind(kind)) is not None}


def _kind(by_kind: Mapping[str, int]) -> str:
    return max(by_kind, key=lambda kind: by_kind[kind])


def _reason(changes: Mapping[str, list[str]], known: int) -> str:
    if not any(changes.values()):
        return f"All {known} features of the reference come, of the same kinds, and no others."
    said = [
        f"{what} {_listed(names)}"
        for what, names in (
            ("not in the reference:", changes["appeared"]),
            ("not sent any more:", changes["disappeared"]),
            ("of another kind:", changes["changed_kind"]),
        )
        if names
    ]
    return f"The features changed; {'; '.join(said)}. Mend the request, or build the reference again from rows like these."


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more

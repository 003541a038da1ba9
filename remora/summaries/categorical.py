"""A category's distribution: the frequent ones with their counts, how many distinct, how many missing.

A frequent-items sketch of 2^10 slots counts up to 768 categories exactly; beyond that a count is off by at most
`error` (about 0.34 % of the rows at worst), which the sketch itself states. Distinct categories come from an
HLL sketch (2^11 registers, 2.3 % standard error; exact while small).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from datasketches import frequent_items_error_type, frequent_strings_sketch, hll_sketch, hll_union

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NAMELESS", "CategoricalSummary", "category_name"]

_LG_SLOTS = 10
_LG_REGISTERS = 11
NAMELESS = "\x00"  # counted, and named by nobody: no category has a name with NUL in it
_EMPTY = "\x00"  # the sketch passes over an empty text; no category has this one


def category_name(value: object) -> str:
    """The one name of a category: `true` and `false` as in JSON, 3 and 3.0 alike."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class CategoricalSummary:
    """`count` rows with a category and `missing` ones without."""

    kind = "categorical"

    def __init__(self) -> None:
        self.count = 0
        self.missing = 0
        self.items = frequent_strings_sketch(_LG_SLOTS)
        self.distinct_sketch = hll_sketch(_LG_REGISTERS)

    def update(self, values: Iterable[str], missing: int = 0) -> None:
        """Count one row per category name; `NAMELESS` rows are in `count` alone."""
        self.missing += missing
        for name, count in Counter(values).items():
            self.count += count
            if name == NAMELESS:
                continue
            self.items.update(name, count)
            self.distinct_sketch.update(name or _EMPTY)

    @property
    def total(self) -> int:
        return self.count + self.missing

    @property
    def missing_rate(self) -> float | None:
        return self.missing / self.total if self.total else None

    @property
    def distinct(self) -> float:
        return float(self.distinct_sketch.get_estimate())

    @property
    def error(self) -> int:
        """How far a count of `counts` may be too high; 0 while there are few categories."""
        frequent = self.items.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        return max((upper - lower for _, _, lower, upper in frequent), default=0)

    def counts(self) -> dict[str, int]:
        """Rows per category, most frequent first; categories too rare for the sketch are left out."""
        frequent = self.items.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        return {name: int(estimate) for name, estimate, _, _ in frequent}

    def merge(self, other: CategoricalSummary) -> None:
        self.count += other.count
        self.missing += other.missing
        self.items.merge(other.items)
        union = hll_union(_LG_REGISTERS)
        union.update(self.distinct_sketch)
        union.update(other.distinct_sketch)
        self.distinct_sketch = union.get_result()

    def fields(self) -> list[Any]:
        return [self.count, self.missing, self.items.serialize(), self.distinct_sketch.serialize_compact()]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        summary = cls()
        summary.count, summary.missing = fields[:2]
        summary.items = frequent_strings_sketch.deserialize(fields[2])
        summary.distinct_sketch = hll_sketch.deserialize(fields[3])
        return summary

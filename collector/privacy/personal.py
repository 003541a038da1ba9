"""Features that look personal and that no redaction covers: each is reported once.

Looked at are values as they will be kept: what is denied, hashed or masked does not appear here. The first rows of a
model are all looked at, later ones now and then: a field that is personal is so in most rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from collector.privacy.patterns import LOOKS
from remora.records import PersonalField, Prediction

__all__ = ["Watch"]

_FIRST: Final = 200  # rows of a model that are all looked at
_THEN: Final = 50  # every so manieth afterwards
_DIFFERENT: Final = 3  # values before a field is reported: a single one may be a chance
_LOOSE: Final = {"card", "phone"}  # random digits can look so: at least half of the values must
_MOST: Final = 20_000  # fields that are followed


class Watch:
    """Follows one model's features."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._rows = 0
        self._looked: Counter[str] = Counter()
        self._hits: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._reported: set[str] = set()

    def look(self, row: Prediction) -> list[PersonalField]:
        """What this row makes known, each field once in this watch's life."""
        self._rows += 1
        if self._rows > _FIRST and self._rows % _THEN:
            return []
        found = []
        for name, value in row.features.items():
            if name in self._reported or not isinstance(value, str | int) or isinstance(value, bool):
                continue
            kind = self._kind(name, str(value))
            if kind is not None:
                self._reported.add(name)
                found.append(
                    PersonalField(model=self._model, feature=name, looks_like=kind, at=row.timestamp)
                )
        return found

    def _kind(self, name: str, text: str) -> str | None:
        if len(text) < 8 or len(self._looked) > _MOST:
            return None
        self._looked[name] += 1
        for kind, look in LOOKS.items():
            if not look.found(text):
                continue
            hits = self._hits[name, kind]
            hits.add(hash(text))
            needed = max(_DIFFERENT, self._looked[name] // 2 if kind in _LOOSE else 0)
            if len(hits) >= needed:
                return kind
        return None

"""The one door before the spool: every record that is made passes it, whichever way it came."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from collector import metrics
from collector.privacy.personal import Watch
from collector.privacy.redaction import Redaction
from remora.config import Config
from remora.records import Label, PersonalField, Prediction
from remora.telemetry import get_logger

__all__ = ["Gate"]

log = get_logger("privacy")

_WATCHED = 1000  # models that remora.yaml does not name; callers can make up any number


class Gate:
    """`redact` is what `models.<name>.privacy` says; `found` are fields that look personal all the same."""

    def __init__(self, config: Config, key: str | None = None) -> None:
        """Raises UserError when a hash is wanted and there is no key."""
        self.config = config
        secret = key.encode() if key else None
        self._redactions = {
            name: redaction
            for name, model in config.models.items()
            if (redaction := Redaction.of(model.privacy, secret)) is not None
        }
        self._rowless = {name for name, model in config.models.items() if model.privacy.profiles_only}
        self._watches: dict[str, Watch] = {}
        self._found: deque[PersonalField] = deque()

    def redact(self, rows: Sequence[Prediction]) -> list[Prediction]:
        """The rows as they may be kept, in their order."""
        kept = [self._one(row) for row in rows] if self._redactions else list(rows)
        for row in kept:
            watch = self._watches.get(row.model) or self._watch(row.model)
            if watch is not None and (found := watch.look(row)):
                self._report(found)
        return kept

    def blotted(self, model: str, body: bytes) -> bytes:
        """A body of which nobody knows yet what it holds, with what `privacy.mask` names blotted out."""
        redaction = self._redactions.get(model)
        return body if redaction is None else redaction.blotted(body)

    def refuses(self, label: Label) -> str | None:
        """Why a label is not taken: where no rows are kept it would wait for its prediction for ever."""
        if label.model not in self._rowless:
            return None
        return "this model keeps no rows (privacy.profiles_only), so no label can be joined"

    def _one(self, row: Prediction) -> Prediction:
        redaction = self._redactions.get(row.model)
        return row if redaction is None else redaction.apply(row)

    def _watch(self, model: str) -> Watch | None:
        if len(self._watches) >= _WATCHED:
            return None
        return self._watches.setdefault(model, Watch(model))

    def _report(self, found: list[PersonalField]) -> None:
        for field in found:
            metrics.PERSONAL_FIELDS.inc()
            log.warning(
                "field_looks_personal",
                model=field.model,
                feature=field.feature,
                looks_like=field.looks_like,
                what="name it under privacy in remora.yaml: deny, hash, truncate or mask",
            )
        self._found += found

    def found(self) -> list[PersonalField]:
        """The fields reported since the last call."""
        fields = []
        while self._found:
            fields.append(self._found.popleft())
        return fields

"""Which rows are kept. Whatever is not is in the summaries: they see every prediction.

Decided where a sealed batch is delivered, out of the batch alone, so a batch that is sent again is decided alike.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from collector.privacy.profiles import coarse
from remora.config import Config
from remora.records import Batch, Prediction, Profiled
from remora.summaries import encode
from remora.summaries.profile import Shape, profile

__all__ = ["KEPT", "Keeper", "draw"]

KEPT: Final = "remora.kept"  # why a row is there although it was not drawn
_FAILED = 400


def draw(key: bytes, identity: str) -> float:
    """A number from 0 to below 1 that belongs to an id: the first 64 bits of HMAC-SHA-256(key, id), divided by 2^64."""
    return int.from_bytes(hmac.digest(key, identity.encode(), "sha256")[:8]) / 2.0**64


class Keeper:
    """`models.<name>.capture.sample` and `privacy.profiles_only`.

    A row is drawn by its id alone, with the secret (or, without one, the model's name) as the key: everybody who
    draws the same id draws alike. Failed rows and those whose label is in the same batch are always kept.
    """

    def __init__(self, config: Config, shapes: Mapping[str, Shape], key: str | None = None) -> None:
        self._shapes = shapes
        self._uncrossed = {name: shape.uncrossed() for name, shape in shapes.items()}
        self._share = {
            name: model.capture.sample for name, model in config.models.items() if model.capture.sample < 1
        }
        self._keys = {name: (key or name).encode() for name in self._share}
        self._profiles_only = {name for name, model in config.models.items() if model.privacy.profiles_only}

    def prepare(self, batch: Batch) -> Batch:
        """The batch with the rows that are kept, and profiles of the others."""
        if not (self._share or self._profiles_only):
            return batch
        labelled = {(label.model, label.id) for label in batch.labels}
        kept: list[Prediction] = []
        plain: list[Prediction] = []
        private: list[Prediction] = []
        for row in batch.predictions:
            if row.model in self._profiles_only:
                private.append(row)
                continue
            found = self._kept(row, labelled=(row.model, row.id) in labelled)
            if found is None:
                plain.append(row)
            else:
                kept.append(found)
        if not plain and not private:
            return msgspec.structs.replace(batch, predictions=kept)
        return msgspec.structs.replace(
            batch,
            predictions=kept,
            profiles=[
                *batch.profiles,
                *self._profiles(plain, self._shapes),
                *self._profiles(coarse(private, self._uncrossed), self._uncrossed),
            ],
            unkept=batch.unkept + len(plain) + len(private),
        )

    def _kept(self, row: Prediction, *, labelled: bool) -> Prediction | None:
        share = self._share.get(row.model, 1.0)
        if share == 1 or row.sample < 1 or KEPT in row.tags:
            return row  # or another collector has drawn already
        if row.status >= _FAILED or labelled:
            why = "error" if row.status >= _FAILED else "labelled"
            return msgspec.structs.replace(row, tags=row.tags | {KEPT: why})
        if draw(self._keys[row.model], row.id) < share:
            return msgspec.structs.replace(row, sample=share)
        return None

    def _profiles(self, rows: list[Prediction], shapes: Mapping[str, Shape]) -> list[Profiled]:
        return [
            Profiled(
                model=key.model,
                version=key.version,
                segment=key.segment,
                start=key.start,
                column=key.column,
                kind=key.kind,
                data=encode(summary),
            )
            for key, summary in profile(rows, shapes).items()
        ]

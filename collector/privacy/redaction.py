"""One model's redaction: which features stay, and in which form. Pure, and the same when it is done twice."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from collector import metrics
from collector.privacy.patterns import mask
from remora.config.privacy import Privacy
from remora.errors import UserError
from remora.records import Prediction

__all__ = ["HASH_LENGTH", "Redaction", "keyed_hash"]

HASH_LENGTH: Final = 32  # hexadecimal digits
_HASHED: Final = "h:"
_KEEP, _DROP, _HASH = -1, -2, -3  # a number from 0 on: cut to so many characters
_REMEMBERED: Final = 10_000  # names; callers can make up any number
_OWN: Final = "remora."


def keyed_hash(key: bytes, value: object) -> str:
    """`h:` and the first 128 bits of HMAC-SHA-256 over a text's UTF-8, or over the JSON of any other value."""
    text = value if isinstance(value, str) else json.dumps(value)
    return _HASHED + hmac.digest(key, text.encode(), "sha256").hex()[:HASH_LENGTH]


class Redaction:
    """What `models.NAME.privacy` says, ready to be applied."""

    def __init__(self, settings: Privacy, key: bytes | None) -> None:
        """Raises UserError when hashes are wanted and there is no key."""
        if settings.hash and not key:
            raise UserError(
                "privacy.hash needs a key: set REMORA_HASH_KEY to a secret of at least 16 characters"
            )
        self._settings = settings
        self._key = key or b""
        self._known: dict[str, int] = {}

    @classmethod
    def of(cls, settings: Privacy, key: bytes | None) -> Redaction | None:
        """None when the settings change nothing."""
        found = cls(settings, key)
        changes = settings.deny or settings.hash or settings.truncate or settings.mask
        return found if changes or settings.allow is not None else None

    def apply(self, row: Prediction) -> Prediction:
        """The row as it may be kept."""
        tags = {
            name: str(value) for name, value in self._values(row.tags, "tags.").items() if value is not None
        }
        prediction = row.prediction
        if isinstance(prediction, str):
            prediction = self._masked(prediction)
        elif isinstance(prediction, list):
            prediction = [self._masked(item) if isinstance(item, str) else item for item in prediction]
        return msgspec.structs.replace(
            row, features=self._values(row.features, ""), tags=tags, prediction=prediction
        )

    def blotted(self, body: bytes) -> bytes:
        """A text that is not taken apart; one that is no UTF-8 stays as it is."""
        try:
            return self._masked(body.decode()).encode()
        except UnicodeDecodeError:
            return body

    def _values(self, values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, value in values.items():
            do = self._known.get(prefix + name)
            if do is None:
                do = self._decide(prefix + name)
            if do == _KEEP:
                kept[name] = self._masked(value) if isinstance(value, str) else value
            elif do == _DROP:
                metrics.REDACTED.labels("drop").inc()
            else:
                kept[name] = self._changed(value, do)
        return kept

    def _changed(self, value: Any, do: int) -> Any:
        if value is None:
            return None
        if do == _HASH:
            metrics.REDACTED.labels("hash").inc()
            return value if _is_hash(value) else keyed_hash(self._key, value)
        text = self._masked(value) if isinstance(value, str) else json.dumps(value)
        if len(text) > do:
            metrics.REDACTED.labels("truncate").inc()
            return text[:do]
        return text if isinstance(value, str) else value

    def _masked(self, text: str) -> str:
        if not self._settings.mask:
            return text
        clean = mask(text, self._settings.mask)
        if clean != text:
            metrics.REDACTED.labels("mask").inc()
        return clean

    def _decide(self, name: str) -> int:
        do = self._rule(name)
        if len(self._known) < _REMEMBERED:
            self._known[name] = do
        return do

    def _rule(self, name: str) -> int:
        """What is left out goes before what is changed; Remora's own tags stay."""
        settings = self._settings
        if name.startswith(f"tags.{_OWN}"):
            return _KEEP
        if _matches(name, settings.deny):
            return _DROP
        if settings.allow is not None and not _matches(
            name, [*settings.allow, *settings.hash, *settings.truncate]
        ):
            return _DROP
        if _matches(name, settings.hash):
            return _HASH
        return next(
            (length for pattern, length in settings.truncate.items() if _matches(name, [pattern])), _KEEP
        )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """By the name itself, a pattern, or as a part of what is named: `address` covers `address.street`."""
    return any(
        name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)
        for pattern in patterns
    )


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_HASHED) and len(value) == len(_HASHED) + HASH_LENGTH

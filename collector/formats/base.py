"""What a wire format is: it recognises a request, and reads rows out of it and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Format", "Mapping", "Message", "Row", "at"]


@dataclass(frozen=True)
class Message:
    """One side of an exchange: header names in lower case, the body unpacked."""

    headers: dict[str, str]
    body: bytes
    path: str = ""

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Mapping:
    """Where things stand, as `models.<name>.capture` says: dotted paths, `$` is the thing itself."""

    rows: str | None = None
    features: str = "$"
    answers: str | None = None
    prediction: str = "prediction"
    scores: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Row:
    """One row as the caller and the model wrote it, not tidied yet."""

    features: dict[str, Any] = field(default_factory=dict)
    prediction: Any = None
    scores: Any = None
    version: Any = None


class Format(Protocol):
    """One wire format."""

    name: str

    def accepts(self, request: Message) -> bool:
        """Whether a request looks like this format."""

    def read(self, request: Message, answer: Message | None, mapping: Mapping) -> tuple[list[Row], bool, str]:
        """The rows, whether the request was a list, and why the answer could not be read ('' when it could).

        `answer` is None when there is none to be read. Raises UnreadableError when the request cannot be read.
        """


def at(value: Any, path: str) -> Any:
    """What stands at a dotted path, or None; a number in the path is a place in a list."""
    if path == "$":
        return value
    for part in path.removeprefix("$.").split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value

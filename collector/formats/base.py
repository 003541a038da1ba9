"""What a wire format is: it recognises a request, and reads rows out of it and its answer.

What is made for every request is a struct of msgspec: a frozen dataclass takes ten times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import msgspec

__all__ = ["Answered", "Asked", "Format", "Mapping", "Message", "at"]


class Message(msgspec.Struct, frozen=True, dict=True):
    """One side of an exchange: header names in lower case, the body unpacked."""

    headers: dict[str, str]
    body: bytes
    path: str = ""

    @cached_property  # every format asks
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Mapping:
    """Where things stand, as `models.<name>.capture` says: dotted paths, `$` is the thing itself.

    `columns` name the values of a row that is a list, `classes` the probabilities of an answer that is one.
    """

    rows: str | None = None
    features: str = "$"
    answers: str | None = None
    prediction: str | None = None
    scores: str | None = None
    version: str | None = None
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    ranked: bool = False  # a prediction is a list of items, the best first

    @property
    def points_inside(self) -> bool:
        """Whether it says where rows, features or answers stand in a body."""
        return self.rows is not None or self.answers is not None or self.features != "$"


class Asked(msgspec.Struct, frozen=True):
    """The features of each row of a request, and whether each row has a number of its own behind the request's id.

    `id` is what the body itself calls the request, `version` the one that was asked for.
    """

    features: list[dict[str, Any]]
    many: bool
    id: str | None = None
    version: Any = None


class Answered(msgspec.Struct, frozen=True):
    """One answer per row, as the model wrote it. `classes` are the names that the answer gives its probabilities."""

    answers: list[Any]
    id: str | None = None
    version: Any = None
    classes: tuple[str, ...] = ()


class Format(Protocol):
    """One wire format. No method raises anything but what is said here, whatever the bytes."""

    name: str

    def accepts(self, request: Message) -> bool:
        """Whether a request is of this format, by its path, content type and first look."""

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """Raises UnreadableError when the request cannot be read."""

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:
        """The answer to a request of `count` rows. Raises UnreadableError when it cannot be read."""


def at(value: Any, path: str) -> Any:
    """What stands at a dotted path, or None; a number in the path is a place in a list."""
    if path == "$":
        return value
    for part in path.removeprefix("$.").split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value

"""Halves that were logged apart, possibly in two files: kept until the other one comes, or the run ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from collector.imports.base import Place

__all__ = ["Pairs"]

_T = TypeVar("_T")
_MOST = 1_000_000


@dataclass(frozen=True)
class _Half(Generic[_T]):
    place: Place
    is_request: bool
    value: _T


class Pairs(Generic[_T]):
    """`meet` gives request and answer once both are there."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Half[_T]] = {}

    def meet(self, key: str, place: Place, value: _T, *, is_request: bool) -> tuple[_T, _T] | str | None:
        """Both, None while one is awaited, or why this half cannot be used."""
        other = self._waiting.get(key)
        if other is None:
            if len(self._waiting) >= _MOST:
                return f"more than {_MOST} halves wait for the other: import requests and answers together"
            self._waiting[key] = _Half(place, is_request, value)
            return None
        if other.is_request == is_request:
            return "is there twice under one id"
        del self._waiting[key]
        return (value, other.value) if is_request else (other.value, value)

    def rest(self) -> Iterator[tuple[str, Place, bool, _T]]:
        """Key, place, whether it is the request, and value of what stayed alone."""
        for key, half in self._waiting.items():
            yield key, half.place, half.is_request, half.value
        self._waiting = {}

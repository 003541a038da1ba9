"""What this part needs of the server's guard: something that lets readers in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Guard"]


class Guard(Protocol):
    """`remora.security.Guard`, as far as readers go."""

    def require(self, scope: str) -> Callable[..., Any]:
        """A FastAPI dependency that refuses whoever lacks the scope."""

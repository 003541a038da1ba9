"""What can go wrong in the detectors.

RemoraError
├── UserError
│   ├── ReferenceFileError   the file of a reference cannot be used as it is
│   └── ClockError           the replayed clock was asked for something that it does not do
"""

from __future__ import annotations

from remora.errors import UserError

__all__ = ["ClockError", "ReferenceFileError"]


class ReferenceFileError(UserError):
    """The file of a reference cannot be used as it is; the text says what would be right."""


class ClockError(UserError):
    """The clock is not replayed, or was asked to go back."""

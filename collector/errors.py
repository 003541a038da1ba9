"""What can go wrong in the collector, as a tree.

RemoraError
├── CollectorError
│   ├── SpoolError         the spool's file cannot be written just now: worth another try
│   │   └── SpoolFullError its limit or the disk is reached; everything accepted before is safe
│   ├── RefusedError       the receiver will never take this batch as it is
│   ├── BodyError          a request's body cannot be read; carries the HTTP status
│   └── UnreadableError    an exchange is not in a format that is known; carries a reason for the counter
└── UnavailableError       (remora.errors) the database or the other collector does not answer
    └── BusyError          the other collector says how long to leave it alone
"""

from typing import ClassVar

from remora.errors import RemoraError, UnavailableError

__all__ = [
    "BodyError",
    "BusyError",
    "CollectorError",
    "RefusedError",
    "SpoolError",
    "SpoolFullError",
    "UnreadableError",
]


class CollectorError(RemoraError):
    """The root of the collector's own errors."""


class SpoolError(CollectorError):
    """The spool cannot take records at this moment."""


class SpoolFullError(SpoolError):
    """The spool holds as much as it may, or the disk is full."""


class RefusedError(CollectorError):
    """The data itself was refused: sending it again will not help. The text holds no value of the data."""


class BodyError(CollectorError):
    """A body that cannot be read, with the HTTP status that says so and a word for the counter."""

    _REASONS: ClassVar = {408: "body_late", 413: "body_too_large", 415: "type_unsupported"}

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def reason(self) -> str:
        return self._REASONS.get(self.status, "body_unreadable")


class UnreadableError(CollectorError):
    """An exchange that cannot be turned into rows; `reason` is one of a fixed few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BusyError(UnavailableError):
    """The receiver asked to be left alone for so many seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds

"""What can go wrong while somebody looks.

DashboardError
├── NotFoundError      there is no such model, incident or report
├── BadRequestError    a filter or a time range that cannot be read
├── BusyError          enough is under way: ask again later
└── ReportError        an Evidently report could not be made; the text says why
"""

from __future__ import annotations

from remora.errors import RemoraError

__all__ = ["BadRequestError", "BusyError", "DashboardError", "NotFoundError", "ReportError"]


class DashboardError(RemoraError):
    """The root of this part's errors."""


class NotFoundError(DashboardError):
    """There is nothing of that name."""


class BadRequestError(DashboardError):
    """What was asked for cannot be read; the text says what would be right."""


class BusyError(DashboardError):
    """Enough is under way already."""


class ReportError(DashboardError):
    """A report could not be made."""

"""`retention:` — how long things are kept, and in which form."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from remora.config.base import Duration, Section

__all__ = ["Retention"]


class Retention(Section):
    """Ages of event time; what nothing is said of, null, stays for ever."""

    minutes: Duration = Field(
        default=timedelta(days=8), description="summaries by the minute, then merged into hours"
    )
    hours: Duration = Field(
        default=timedelta(days=90), description="summaries by the hour, then merged into days"
    )
    days: Duration | None = Field(default=timedelta(days=1100), description="summaries by the day")
    rows: Duration | None = Field(
        default=timedelta(days=30), description="predictions and labels, then moved to the archive"
    )
    archive: bool = Field(default=True, description="false: rows are deleted, not moved")
    archived: Duration | None = Field(default=None, description="files of the archive")
    findings: Duration | None = timedelta(days=400)
    deliveries: Duration | None = timedelta(days=90)
    reports: Duration | None = timedelta(days=90)

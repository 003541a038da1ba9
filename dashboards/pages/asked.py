"""What a page knows of its request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from dashboards.errors import BadRequestError, NotFoundError
from dashboards.listing import Column, Listing, sorted_rows
from dashboards.periods import PRESETS, Period, parse_period
from dashboards.queries import models
from remora.config import Config
from remora.config.alerting import Rule

__all__ = ["Asked", "Page"]

Page = dict[str, Any]

_TIME = ("range", "from", "to")


@dataclass(frozen=True)
class Asked:
    """The open connection, the configuration, business time and real time, the query string."""

    connection: sa.Connection
    config: Config
    now: datetime
    wall: datetime
    query: Mapping[str, str]
    process: Mapping[str, str] = field(default_factory=dict)  # how the server was started, for people

    def period(self, newest: datetime, recent: timedelta) -> Period:
        """The stretch of time that was asked for, or the recent one."""
        return parse_period(self.query, newest=newest, recent=recent)

    def chosen(self) -> Period | None:
        """The stretch of time that was asked for; None where none was."""
        if not any(self.query.get(name) for name in _TIME):
            return None
        return parse_period(self.query, newest=self.now, recent=timedelta(days=1))

    def one_of(self, name: str, known: Sequence[str]) -> tuple[str, ...]:
        """A selection out of a few words; () where nothing is selected."""
        wanted = self.query.get(name, "")
        if wanted and wanted not in known:
            msg = f"`{name}` is one of {', '.join(known)}"
            raise BadRequestError(msg)
        return (wanted,) if wanted else ()

    def model(self, name: str) -> Any:
        """The row of a model that was seen."""
        found = models.model(self.connection, name)
        if found is None:
            msg = f"No predictions of a model named {name} were seen."
            raise NotFoundError(msg)
        return found

    def rules(self) -> Iterable[Rule]:
        """Every rule of the configuration."""
        return (rule for _, rule in self.config.rules)

    def listing(
        self, name: str, columns: tuple[Column, ...], rows: Sequence[Any], *, first: int = 0
    ) -> Listing:
        """A table in the order that `sort=name:column` asks for."""
        table, _, order = self.query.get("sort", "").partition(":")
        wanted = order if table == name else ""
        kept = {key: value for key, value in self.query.items() if key not in {"sort", "download"}}
        return Listing(name, columns, sorted_rows(columns, rows, wanted), first, wanted, kept)

    def page(self, *tables: Listing, **more: Any) -> Page:
        """What every template gets, and this one's own."""
        return {
            "now": self.now,
            "presets": list(PRESETS),
            "replay": self.config.schedule.clock == "replay",
            "carried": {name: self.query[name] for name in _TIME if self.query.get(name)},
            "tables": {table.name: table for table in tables},
        } | more

"""Tables of pages: which columns they have, in which order they stand, and how they are downloaded."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from dashboards.errors import BadRequestError, NotFoundError

__all__ = ["Column", "Download", "Listing", "download", "sorted_rows"]

KINDS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Column:
    """One column. `of` gives what it is sorted by and downloaded as; without it, it is a picture and does neither."""

    key: str
    title: str
    of: Callable[[Any], Any] | None = None
    text: Callable[[Any], str] | None = None  # the cell, where the template writes none of its own
    number: bool = False
    head: bool = False  # names the row
    hidden: bool = False  # in downloads alone

    @property
    def first_order(self) -> str:
        """Numbers are asked for from the highest down."""
        return f"-{self.key}" if self.number else self.key


@dataclass(frozen=True)
class Listing:
    """Rows in the order that was asked for; of them the page shows the `first` ones, a download has all."""

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[Any]
    first: int = 0
    order: str = ""
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> Sequence[Any]:
        return self.rows[: self.first] if self.first else self.rows

    @property
    def heads(self) -> Sequence[Column]:
        """The columns that the page shows."""
        return [column for column in self.columns if not column.hidden]

    @property
    def partial(self) -> bool:
        """Whether the page shows less than there is, so that only the server can sort it."""
        return len(self.shown) < len(self.rows)

    def direction(self, column: Column) -> str:
        """`ascending`, `descending` or `none`, as ARIA names it."""
        if self.order.removeprefix("-") != column.key:
            return "none"
        return "descending" if self.order.startswith("-") else "ascending"

    def sort_link(self, column: Column) -> str:
        """The query string that sorts by this column; by the one that does already, the other way round."""
        wanted = column.first_order
        if wanted == self.order:
            wanted = self.order[1:] if self.order.startswith("-") else f"-{self.order}"
        return "?" + urlencode({**self.query, "sort": f"{self.name}:{wanted}"}) + f"#{self.name}-table"

    def download_link(self, kind: str) -> str:
        """The query string that downloads it, in this order."""
        order = {"sort": f"{self.name}:{self.order}"} if self.order else {}
        return "?" + urlencode({**self.query, **order, "download": f"{self.name}.{kind}"})


def sorted_rows(columns: Sequence[Column], rows: Sequence[Any], order: str) -> Sequence[Any]:
    """The rows by one column, those without a value at the end; `-key` is downwards. Equal ones stay in their order."""
    if not order:
        return rows
    key = order.removeprefix("-")
    column = next((one for one in columns if one.key == key and one.of is not None), None)
    if column is None or column.of is None:
        known = ", ".join(one.key for one in columns if one.of is not None)
        msg = f"`sort` names a column: one of {known}"
        raise BadRequestError(msg)
    of = column.of
    known_rows = [row for row in rows if of(row) is not None]
    unknown = [row for row in rows if of(row) is None]
    return sorted(known_rows, key=lambda row: _comparable(of(row)), reverse=order.startswith("-")) + unknown


def _comparable(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, _plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value).casefold()


@dataclass(frozen=True)
class Download:
    """A file that a table became."""

    name: str
    kind: str
    content: str


def download(listings: Mapping[str, Listing], wanted: str, stem: str) -> Download:
    """The table that `download=alerts.csv` asks for."""
    name, _, kind = wanted.rpartition(".")
    if kind not in KINDS:
        msg = f"`download` ends in {' or '.join('.' + known for known in KINDS)}"
        raise BadRequestError(msg)
    if name not in listings:
        msg = f"This page has no table named {name}: one of {', '.join(listings) or 'none'}."
        raise NotFoundError(msg)
    listing = listings[name]
    columns = [column for column in listing.columns if column.of is not None]
    rows = [{column.key: _stored(column.of(row)) for column in columns if column.of} for row in listing.rows]
    content = json.dumps(rows, indent=1, ensure_ascii=False) if kind == "json" else _csv(columns, rows)
    return Download(f"{stem}-{name}.{kind}" if stem else f"{name}.{kind}", KINDS[kind], content)


def _stored(value: Any) -> Any:
    """A value as JSON has it; instants in RFC 3339."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _csv(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> str:
    """RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow([_safe(value) for value in row.values()])
    return out.getvalue()


def _safe(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value

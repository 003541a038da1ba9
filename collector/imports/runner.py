"""Carry files into a sink, a batch of lines at a time.

A batch is named by what it holds: whoever runs the same import again, after a kill or by mistake, changes nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import msgspec

from collector.delivery import backoff
from collector.errors import RefusedError
from collector.imports import SOURCES, Context, Found, Place, Source
from collector.imports.files import Item, LogFile
from collector.imports.tables import TableRows
from collector.privacy import Gate
from collector.privacy.keeping import Keeper
from collector.sinks import Sink
from collector.spool import Receipt
from remora.errors import UnavailableError, UserError
from remora.records import Batch, Label, Prediction

__all__ = ["Importer", "Rejected", "Report", "Where"]

_LINES = 2000
_ATTEMPTS = 8  # some twenty seconds of a database that is away
_encode = msgspec.msgpack.Encoder().encode

Record = Prediction | Label
Where = dict[str, str | int]  # file and line, or the record
Rejected = Callable[[Where, str], None]
Progress = Callable[[int], None]


@dataclass
class Report:
    """What became of everything: `rejected` counts by reason, `first` is where each reason was met first."""

    files: int = 0
    lines: int = 0
    written: int = 0
    repeated: int = 0
    unkept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    first: dict[str, Where] = field(default_factory=dict)


class Importer:
    """One run. `source` names the kind of all lines; without it each line shows what it is."""

    def __init__(
        self, context: Context, sink: Sink, gate: Gate, keeper: Keeper, *, source: str | None = None
    ) -> None:
        self._sink = sink
        self._gate = gate
        self._keeper = keeper
        self._sources: list[Source] = [make(context) for make in SOURCES]
        self._chosen = next((one for one in self._sources if one.name == source), None)
        self.report = Report()
        self._tell: Rejected = lambda _where, _reason: None

    def run(self, files: Sequence[Path], progress: Progress, rejected: Rejected) -> Report:
        """Import files in this order; `progress` is told bytes. Raises UserError and UnavailableError."""
        self._tell = rejected
        for path in files:
            log = LogFile(path)
            try:
                self._file(log, progress)
            finally:
                log.close()
            self.report.files += 1
        self._write([one for source in self._sources for rest in source.rest() for one in self._taken(*rest)])
        return self.report

    def _file(self, log: LogFile, progress: Progress) -> None:
        told = 0
        for number, chunk in enumerate(_chunks(log)):
            if number == 0:
                self._look(log, chunk)
            self._write([one for place, item in chunk for one in self._taken(place, self._read(place, item))])
            position = log.position
            progress(position - told)
            told = position
        progress(log.size - told)

    def _look(self, log: LogFile, chunk: Sequence[tuple[Place, Item]]) -> None:
        """Refuse a table that lacks a column which the configuration names, before anything of it is written."""
        rows = [item for _, item in chunk if isinstance(item, dict)]
        tables = [(source, row) for row in rows if isinstance(source := self._source(row), TableRows)]
        wrong = tables and tables[0][0].missing({name for _, row in tables for name in row})
        if wrong:
            raise UserError(f"{log.path}: {wrong}")

    def _source(self, item: dict[str, object]) -> Source:
        return self._chosen or next(one for one in self._sources if one.recognises(item))

    def _read(self, place: Place, item: Item) -> Found:
        self.report.lines += 1
        return item if isinstance(item, str) else self._source(item).records(item, place)

    def _taken(self, place: Place, found: Found) -> list[Record]:
        where: Where = {"file": str(place.path), "line": place.number}
        if isinstance(found, str):
            self._reject(where, found)
            return []
        records: list[Record] = []
        for one in found:
            refusal = self._gate.refuses(one) if isinstance(one, Label) else None
            if refusal:
                self._reject(where, refusal)
            else:
                records.append(one)
        return records

    def _reject(self, where: Where, reason: str) -> None:
        self.report.rejected[reason] += 1
        self.report.first.setdefault(reason, where)
        self._tell(where, reason)

    def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        rows = self._gate.redact([one for one in records if isinstance(one, Prediction)])
        labels = [one for one in records if isinstance(one, Label)]
        content = hashlib.sha256(_encode([rows, labels])).hexdigest()[:32]
        batch = Batch(
            id=f"import-{content}",
            source="import",
            predictions=rows,
            labels=labels,
            personal=self._gate.found(),
        )
        self._deliver(batch)

    def _deliver(self, batch: Batch) -> None:
        prepared = self._keeper.prepare(batch)
        try:
            receipt = self._patiently(prepared)
        except RefusedError as error:
            self._halve(batch, str(error))
            return
        count = len(prepared.predictions) + len(prepared.labels)
        self.report.written += 0 if receipt.known else receipt.written
        self.report.repeated += count if receipt.known else receipt.repeated
        self.report.unkept += prepared.unkept

    def _patiently(self, batch: Batch) -> Receipt:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return self._sink.write(batch)
            except UnavailableError:
                time.sleep(backoff(attempt, 0))
        return self._sink.write(batch)

    def _halve(self, batch: Batch, reason: str) -> None:
        """Find the record that the receiver refuses: only that one is left out."""
        records: list[Record] = [*batch.predictions, *batch.labels]
        if len(records) == 1:
            self._reject({"record": records[0].id}, reason)
            return
        middle = len(records) // 2
        self._write(records[:middle])
        self._write(records[middle:])


def _chunks(log: LogFile) -> Iterator[list[tuple[Place, Item]]]:
    items = ((Place(log.path, number, item, log.as_text), item) for number, item in log.items())
    while chunk := list(islice(items, _LINES)):
        yield chunk

"""Open a file and read its items one after the other: JSON lines, a JSON array, CSV or Parquet, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from collector.errors import UnreadableError
from collector.formats.documents import loads
from remora.errors import UserError

__all__ = ["Item", "LogFile", "find_files"]

# A row, or what is wrong with it.
Item = dict[str, Any] | str

_ENDINGS = {".jsonl", ".json", ".ndjson", ".log", ".csv", ".parquet"}
_LINE_BYTES = 64 << 20
_ARRAY_BYTES = 256 << 20  # of a file that is one JSON array: it is read whole
_ROWS = 2000
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The files, and those below folders, in a fixed order: files of schemas first. Raises UserError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += (one for one in sorted(path.rglob("*")) if one.is_file() and _is_log(one, path))
        elif path.exists():
            found.append(path)
        elif ":/" in str(path):
            raise UserError(f"{path} is not on this machine: copy it here first")
        else:
            raise UserError(f"there is no file {path}")
    if not found:
        raise UserError(f"no file that ends in {', '.join(sorted(_ENDINGS))} (or these with .gz) is there")
    return sorted(dict.fromkeys(found), key=lambda path: "schema" not in path.parts)


def _is_log(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is meant: not what Spark and others keep under names with `_` or `.` before them."""
    hidden = any(part[0] in "._" for part in path.relative_to(folder).parts)
    return not hidden and _ending(path) in _ENDINGS


def _ending(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


class LogFile:
    """One file; `position` of `size` bytes are read. Raises UserError when it cannot be opened.

    `as_text` says that its values are text even where they mean numbers, as in CSV.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.as_text = _ending(path) == ".csv"
        try:
            self._raw = path.open("rb")
            self._first = self._raw.read(4)
            self._raw.seek(0)
            self.size = path.stat().st_size
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        self._done = 0

    @property
    def position(self) -> int:
        return self.size if self._raw.closed else max(self._done, self._raw.tell())

    def close(self) -> None:
        self._raw.close()

    def items(self) -> Iterator[tuple[int, Item]]:
        """Line (or row) numbers from 1 on, with the items. Raises UserError where nothing more can be read."""
        try:
            if self._first == _PARQUET or _ending(self.path) == ".parquet":
                yield from self._parquet()
            elif self.as_text:
                with self._text() as text:
                    yield from _csv(self.path, text)
            else:
                yield from self._json()
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self.path} cannot be read on: {error}") from None

    def _bytes(self) -> IO[bytes]:
        packed = self._first.startswith(_GZIP)
        return cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw)) if packed else self._raw

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._bytes(), encoding="utf-8-sig", errors="replace", newline="")

    def _json(self) -> Iterator[tuple[int, Item]]:
        stream = self._bytes()
        first = stream.readline(_LINE_BYTES)
        if first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            yield from _array(self.path, first + stream.read(_ARRAY_BYTES + 1))
            return
        number, line = 1, first
        while line:
            if len(line) == _LINE_BYTES:
                raise UserError(f"{self.path}: line {number} is longer than 64 MiB: are these JSON lines?")
            if line.strip():
                yield number, _object(line.removeprefix(b"\xef\xbb\xbf"))
            number, line = number + 1, stream.readline(_LINE_BYTES)

    def _parquet(self) -> Iterator[tuple[int, Item]]:
        try:
            import pyarrow.parquet  # noqa: PLC0415  (100 MB that only a server has)
        except ImportError:
            raise UserError("Parquet needs the server extra: pip install 'remora[server]'") from None
        try:
            table = pyarrow.parquet.ParquetFile(self.path)
            number = 0
            for batch in table.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
                self._done = self.size * number // max(1, table.metadata.num_rows)
        except pyarrow.ArrowException as error:
            raise UserError(f"{self.path} is not a Parquet file: {str(error).splitlines()[0]}") from None


def _object(line: bytes) -> Item:
    try:
        found = loads(line, "")
    except UnreadableError:
        return "is not JSON"
    return found if isinstance(found, dict) else "is not a JSON object"


def _array(path: Path, body: bytes) -> Iterator[tuple[int, Item]]:
    if len(body) > _ARRAY_BYTES:
        raise UserError(f"{path} is a JSON array of over 256 MiB: write one object per line instead")
    try:
        found = loads(body.removeprefix(b"\xef\xbb\xbf"), "")
    except UnreadableError:
        raise UserError(f"{path} begins like a JSON array and is none") from None
    for number, item in enumerate(found, 1):
        yield number, item if isinstance(item, dict) else "is not a JSON object"


def _csv(path: Path, text: io.TextIOWrapper) -> Iterator[tuple[int, Item]]:
    """Rows by the names of the first line, which also shows what stands between values: comma, semicolon or tab."""
    head = text.readline(_LINE_BYTES)
    between = max(",;\t", key=head.count)
    lines = csv.reader(chain([head], text), delimiter=between)
    try:
        names = next(lines, [])
    except csv.Error as error:
        raise UserError(f"{path} does not begin with a line of column names: {error}") from None
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{path} has two columns named {doubled!r}")
    while True:
        try:
            values = next(lines, None)
        except csv.Error as error:
            yield lines.line_num, f"is not CSV: {error}"
            continue
        if values is None:
            return
        if len(values) == len(names):
            yield lines.line_num, dict(zip(names, values, strict=True))
        elif values:
            yield lines.line_num, f"has {len(values)} values where the first line names {len(names)} columns"

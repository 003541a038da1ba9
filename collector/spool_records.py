"""Records as they lie in the spool: msgpack, one behind the other, as many as were written together."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from remora.records import Batch, Label, PersonalField, Prediction, Profiled

__all__ = [
    "ENTRY_OVERHEAD",
    "UNKEPT",
    "Entry",
    "Unkept",
    "cut",
    "encode_record",
    "encode_records",
    "joined",
    "personal_entries",
    "to_batch",
]

PREDICTION: Final = 1
LABEL: Final = 2
UNKEPT: Final = 3
ENTRY_OVERHEAD: Final = 24  # bytes of SQLite's own around a record that stands alone, about
_TOGETHER: Final = 500  # records
_BLOB_BYTES: Final = 1 << 20


class Unkept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What another collector says of predictions that it does not send as rows; one record to the spool."""

    profiles: list[Profiled] = []
    unkept: int = 0
    personal: list[PersonalField] = []


class Entry(msgspec.Struct, frozen=True):
    """`count` records of one kind."""

    kind: int
    data: bytes
    count: int = 1

    @property
    def size(self) -> int:
        return len(self.data) + ENTRY_OVERHEAD * self.count


_encoder = msgspec.msgpack.Encoder()
_pieces = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_decoders: Final[dict[int, Any]] = {
    PREDICTION: msgspec.msgpack.Decoder(list[Prediction]).decode,
    LABEL: msgspec.msgpack.Decoder(list[Label]).decode,
    UNKEPT: msgspec.msgpack.Decoder(list[Unkept]).decode,
}
_KINDS: Final = {Prediction: PREDICTION, Label: LABEL, Unkept: UNKEPT}


def encode_record(record: Prediction | Label | Unkept) -> Entry:
    """A record alone. Raises ValueError for text or numbers that no JSON can carry."""
    try:
        return Entry(_KINDS[type(record)], _encoder.encode(record))
    except UnicodeEncodeError:
        raise ValueError("holds text that is not valid Unicode") from None
    except OverflowError:
        raise ValueError("holds an integer beyond 64 bits") from None
    except (RecursionError, TypeError):
        raise ValueError("holds a value that is neither text, number, true, false nor null") from None


def encode_records(records: Sequence[Prediction | Label]) -> list[Entry]:
    """Records of one kind, many to an entry. Raises ValueError as `encode_record` does."""
    entries: list[Entry] = []
    for start in range(0, len(records), _TOGETHER):
        part = records[start : start + _TOGETHER]
        try:
            data = _encoder.encode(part)[_head_size(len(part)) :]
        except (UnicodeEncodeError, OverflowError, RecursionError, TypeError):
            data = b""
        if 0 < len(data) <= _BLOB_BYTES:
            entries.append(Entry(_KINDS[type(part[0])], data, len(part)))
        else:
            entries += map(encode_record, part)
    return entries


def personal_entries(found: list[PersonalField]) -> list[Entry]:
    """Fields that look personal, as one record; nothing where there are none."""
    return [encode_record(Unkept(personal=found))] if found else []


def joined(entries: Sequence[Entry]) -> list[Entry]:
    """The same records in fewer entries, none of them much larger than a megabyte."""
    found: list[list[Entry]] = []
    size = 0
    for entry in entries:
        if not found or found[-1][0].kind != entry.kind or size + len(entry.data) > _BLOB_BYTES:
            found.append([])
            size = 0
        found[-1].append(entry)
        size += len(entry.data)
    return [
        part[0] if len(part) == 1
        else Entry(part[0].kind, b"".join(one.data for one in part), sum(one.count for one in part))
        for part in found
    ]  # fmt: skip


def cut(entry: Entry, start: int, end: int) -> Entry:
    """The records from `start` to before `end`. Where the bytes are damaged the first one has them all."""
    if (start, end) == (0, entry.count):
        return entry
    try:
        pieces = [bytes(piece) for piece in _pieces(_head(entry.count) + entry.data)]
    except msgspec.MsgspecError:
        pieces = [entry.data] + [b""] * (entry.count - 1)
    return Entry(entry.kind, b"".join(pieces[start:end]), end - start)


def to_batch(id: str, entries: Sequence[Entry], source: str) -> Batch:  # noqa: A002  (the batch's own word)
    """The records of entries as a batch. Raises msgspec.MsgspecError where they cannot be read."""
    read: dict[int, list[Any]] = {}
    for kind, decode in _decoders.items():
        parts = [entry for entry in entries if entry.kind == kind]
        data = b"".join([_head(sum(entry.count for entry in parts)), *(entry.data for entry in parts)])
        read[kind] = decode(data)
    apart: list[Unkept] = read[UNKEPT]
    return Batch(
        id=id,
        source=source,
        predictions=read[PREDICTION],
        labels=read[LABEL],
        profiles=[one for each in apart for one in each.profiles],
        unkept=sum(each.unkept for each in apart),
        personal=[one for each in apart for one in each.personal],
    )


def _head(count: int) -> bytes:
    """What msgpack writes before so many items; the longest form, which holds for any count."""
    return struct.pack(">BI", 0xDD, count)


def _head_size(count: int) -> int:
    return 1 if count < 16 else 3 if count < 65_536 else 5

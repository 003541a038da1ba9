from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from collector.batches import check_profiled, read_batch
from collector.errors import BodyError
from collector.privacy import Gate
from collector.spool_records import to_batch
from remora.config import Config
from remora.records import Batch, PersonalField, Prediction, Profiled
from remora.summaries import TrafficSummary, encode

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
TRAFFIC = Profiled(
    model="m",
    version="",
    segment="",
    start=NOON,
    column="$traffic",
    kind="traffic",
    data=encode(TrafficSummary({200: 3})),
)
WHOLE = Batch(
    id="b", source="s", predictions=[Prediction(model="m", id="p", timestamp=NOON)], profiles=[TRAFFIC], unkept=3,
    personal=[PersonalField(model="m", feature="mail", looks_like="email")],
)  # fmt: skip


def test_what_is_not_sent_as_rows_goes_through_the_spool():
    batch, entries = read_batch(msgspec.msgpack.encode(WHOLE), Gate(Config()), packed=True)
    assert batch == WHOLE
    assert to_batch("b", entries, "s") == WHOLE


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": b""}, {"data": b"\x01junk"}, {"kind": "latency"}, {"model": ""}, {"column": "x" * 300},
        {"version": "\n"}, {"segment": "\0"}, {"start": NOON.replace(second=1)}, {"start": NOON.replace(tzinfo=None)},
        {"data": b"\x01" + msgspec.msgpack.encode(["traffic"])},
        {"data": b"\x01" + msgspec.msgpack.encode(["numeric", "many", 0, 0.0, 0.0, b""]), "kind": "numeric"},
    ],
)  # fmt: skip
def test_a_bad_summary_is_refused(wrong):
    bad = msgspec.structs.replace(TRAFFIC, **wrong)
    assert check_profiled(TRAFFIC) is None
    assert check_profiled(bad)
    with pytest.raises(BodyError, match=r"profiles\[0\]"):
        read_batch(
            msgspec.msgpack.encode(msgspec.structs.replace(WHOLE, profiles=[bad])),
            Gate(Config()),
            packed=True,
        )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"unkept": -1}, "unkept"),
        ({"personal": [PersonalField(model="m", feature="", looks_like="x")]}, r"personal\[0\]"),
        ({"predictions": [Prediction(model="", id="p", timestamp=NOON)]}, r"predictions\[0\]: `model`"),
    ],
)
def test_says_what_is_wrong(wrong, words):
    with pytest.raises(BodyError, match=words):
        read_batch(
            msgspec.msgpack.encode(msgspec.structs.replace(WHOLE, **wrong)), Gate(Config()), packed=True
        )

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import threading
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import SpoolError, SpoolFullError
from collector.spool import Receipt, Spool, encode_record, encode_records, to_batch
from remora.errors import UserError
from remora.records import Label, Prediction

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def record(number: int, text: str = "x") -> Prediction:
    return Prediction(model="m", id=f"p{number}", timestamp=NOON, features={"a": 1.5, "b": text, "c": None})


def entries(*numbers: int, text: str = "x"):
    return [encode_record(record(n, text)) for n in numbers]


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def test_records_come_back_as_they_were_and_in_order(spool):
    label = Label(model="m", id="p1", label="yes", timestamp=NOON)
    spool.put([*entries(1, 2), encode_record(label)]).result(5)
    batch = to_batch(spool.seal(10), "test")
    assert batch.predictions == [record(1), record(2)]
    assert batch.labels == [label]
    assert batch.id == f"{spool.id}-1.0-2.1"


def test_a_sealed_batch_keeps_its_id_and_contents_over_a_restart(tmp_path):
    spool = Spool(tmp_path)
    spool.put(entries(1, 2, 3)).result(5)
    first = spool.seal(2)
    spool.put(entries(4)).result(5)
    spool.close()
    again = Spool(tmp_path)
    assert again.seal(100) == first
    again.remove(first, Receipt(written=2))
    assert to_batch(again.seal(100), "t").predictions == [record(3), record(4)]
    assert again.counters() | {"bytes": 0} == {
        "accepted": 4, "delivered": 2, "set_aside": 0, "expired": 0, "pending": 2, "bytes": 0,
        "written": 2, "repeated": 0, "unkept": 0, "sides": 0,
    }  # fmt: skip
    again.close()


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path):
    spool = Spool(tmp_path, limit=600)
    spool.put(entries(1)).result(5)
    with pytest.raises(SpoolFullError, match="600 bytes"):
        spool.put(entries(2, text="y" * 1000)).result(5)
    assert spool.counters()["accepted"] == 1
    spool.remove(spool.seal(10), Receipt())
    assert spool.counters()["bytes"] == 0
    spool.put(entries(3)).result(5)
    spool.close()


def test_a_full_disk_is_the_same_and_loses_nothing(spool):
    spool.put(entries(1)).result(5)
    pages = spool.transact(lambda file, _: file.connection.execute("PRAGMA page_count").fetchone()[0]).result(
        5
    )
    spool.transact(
        lambda file, _: file.connection.execute(f"PRAGMA max_page_count={pages + 2}").fetchall()
    ).result(5)
    with pytest.raises(SpoolFullError, match="disk"):
        spool.put(entries(2, text="y" * 100_000)).result(5)
    spool.transact(
        lambda file, _: file.connection.execute("PRAGMA max_page_count=1000000").fetchall()
    ).result(5)
    spool.put(entries(3)).result(5)
    assert to_batch(spool.seal(10), "t").predictions == [record(1), record(3)]


def test_one_write_that_is_too_large_does_not_take_others_down(tmp_path):
    spool = Spool(tmp_path, limit=2000)
    futures = [spool.put(entries(n)) for n in range(5)]
    futures.insert(2, spool.put(entries(9, text="y" * 3000)))
    outcomes = [type(future.exception(5)) for future in futures]
    assert outcomes == [type(None), type(None), SpoolFullError, type(None), type(None), type(None)]
    assert spool.pending == 5
    spool.close()


def test_the_ring_position_is_committed_with_the_records(tmp_path):
    spool = Spool(tmp_path, limit=1000)
    spool.put(entries(1), ring=(b"ring", 64, 1)).result(5)
    with pytest.raises(SpoolFullError):
        spool.put(entries(2, text="y" * 3000), ring=(b"ring", 128, 2)).result(5)
    spool.close()
    again = Spool(tmp_path)
    assert again.ring == (b"ring", 64, 1)
    again.close()


def test_a_received_batch_is_taken_once(spool):
    assert spool.put(entries(1), batch="b").result(5) is True
    assert spool.put(entries(1), batch="b").result(5) is False
    assert spool.pending == 1


def test_a_batch_is_bounded_in_bytes_too_except_for_what_was_written_together(tmp_path):
    spool = Spool(tmp_path, batch_bytes=3000)
    for start in range(0, 80, 10):
        spool.put(encode_records([record(start + n) for n in range(10)])).result(5)
    sizes = []
    while (sealed := spool.seal(1000)) is not None:
        sizes.append((sealed.records, sum(len(entry.data) for entry in sealed.entries)))
        spool.remove(sealed, Receipt(written=sealed.records))
    assert sum(records for records, _ in sizes) == 80
    assert len(sizes) > 1
    assert all(size <= 3000 for _, size in sizes)
    spool.put(encode_records([record(n) for n in range(100)])).result(5)
    assert spool.seal(1000).records == 100
    spool.close()


def test_a_refused_batch_is_halved_and_set_aside(spool):
    spool.put(entries(1, 2, 3)).result(5)
    whole = spool.seal(10)
    spool.split(whole)
    left = spool.seal(10)
    assert [row.id for row in to_batch(left, "t").predictions] == ["p1"]
    spool.set_aside(left, "poison")
    right = spool.seal(10)
    assert [row.id for row in to_batch(right, "t").predictions] == ["p2", "p3"]
    spool.remove(right, Receipt())
    assert spool.seal(10) is None
    assert [(one.batch, one.records, one.reason) for one in spool.aside()] == [(left.id, 1, "poison")]
    counts = spool.counters()
    assert counts["accepted"] == counts["delivered"] + counts["set_aside"] + counts["pending"] == 3


def test_two_processes_never_share_a_spool(tmp_path):
    spool = Spool(tmp_path)
    with pytest.raises(UserError, match="another process"):
        Spool(tmp_path, wait=0.1)
    spool.close()
    Spool(tmp_path, wait=0.1).close()


def test_a_closed_spool_says_so(tmp_path):
    spool = Spool(tmp_path)
    spool.close()
    with pytest.raises(SpoolError, match="closed"):
        spool.put(entries(1)).result(5)


def test_a_damaged_file_is_put_beside(tmp_path):
    (tmp_path / "spool.db").write_bytes(b"this is no database" * 500)
    spool = Spool(tmp_path)
    spool.put(entries(1)).result(5)
    assert spool.pending == 1
    spool.close()
    assert [path.name for path in tmp_path.glob("*.damaged-*")]


@pytest.mark.parametrize(
    ("value", "words"),
    [("\ud800", "Unicode"), (2**64, "64 bits"), (object(), "neither text")],
)
def test_what_no_json_can_carry_is_refused(value, words):
    with pytest.raises(ValueError, match=words):
        encode_record(Prediction(model="m", id="1", timestamp=NOON, features={"a": value}))


def _write_until_killed(path, pipe):
    spool = Spool(path)
    for number in range(100_000):
        spool.put(entries(number), ring=(b"r", number, number)).result()
        pipe.send(number)


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    receiving, sending = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=_write_until_killed, args=(tmp_path, sending))
    child.start()
    sending.close()
    acknowledged = -1
    while acknowledged < 50:
        assert receiving.poll(30)
        acknowledged = receiving.recv()
    os.kill(child.pid, signal.SIGKILL)
    child.join(10)
    while True:
        try:
            acknowledged = receiving.recv()
        except (EOFError, OSError):
            break
    receiving.close()
    spool = Spool(tmp_path)
    batch = to_batch(spool.seal(100_000), "t")
    numbers = [int(row.id[1:]) for row in batch.predictions]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) in {acknowledged + 1, acknowledged + 2}
    assert spool.ring == (b"r", numbers[-1], numbers[-1])
    spool.close()


def all_again(spool):
    for one in spool.aside():
        assert spool.retry_aside(one.batch) == one.records


@given(
    steps=st.lists(
        st.sampled_from(["put", "many", "seal", "deliver", "split", "aside", "retry", "reopen"]), max_size=25
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_counters_balance_whatever_happens(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    spool, number, delivered, aside = Spool(folder), 0, [], []
    for step in steps:
        if step in {"put", "many"}:
            count = 2 if step == "put" else 5
            spool.put(encode_records([record(number + n) for n in range(count)])).result(5)
            number += count
        elif step == "reopen":
            spool.close()
            spool = Spool(folder)
        elif step == "retry":
            all_again(spool)
            aside.clear()
        elif (sealed := spool.seal(3)) is not None and step != "seal":
            ids = [row.id for row in to_batch(sealed, "t").predictions]
            if step == "deliver":
                spool.remove(sealed, Receipt(written=sealed.records))
                delivered += ids
            elif step == "aside":
                spool.set_aside(sealed, "why")
                aside += ids
            elif sealed.records > 1:
                spool.split(sealed)
    while (sealed := spool.seal(3)) is not None:
        delivered += [row.id for row in to_batch(sealed, "t").predictions]
        spool.remove(sealed, Receipt(written=sealed.records))
    counts = spool.counters()
    spool.close()
    assert sorted(delivered + aside) == sorted(f"p{n}" for n in range(number))
    assert counts == {
        "accepted": number, "delivered": len(delivered), "set_aside": len(aside), "bytes": 0, "pending": 0, "expired": 0,
        "written": len(delivered), "repeated": 0, "unkept": 0, "sides": 0,
    }  # fmt: skip


OLD = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE sealed (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE set_aside (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, data BLOB NOT NULL, batch TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE received (n INTEGER PRIMARY KEY AUTOINCREMENT, batch TEXT NOT NULL UNIQUE);
INSERT INTO meta VALUES ('id', 'abc'), ('accepted', 9), ('delivered', 4), ('set_aside', 1), ('bytes', 400);
INSERT INTO sealed VALUES (6, 7);
INSERT INTO set_aside VALUES (5, 1, x'80', 'abc-5-5', 'poison');
"""


def test_a_spool_of_a_row_per_record_is_still_delivered(tmp_path):
    """Its sealed batch keeps its id, under which it may be in the database already."""
    connection = sqlite3.connect(tmp_path / "spool.db")
    connection.executescript(OLD)
    old = [(6 + n, 1, msgspec.msgpack.encode(record(n))) for n in range(4)]
    connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", old)
    connection.commit()
    connection.close()
    spool = Spool(tmp_path)
    first = spool.seal(100)
    assert (first.id, to_batch(first, "t").predictions) == ("abc-6-7", [record(0), record(1)])
    spool.remove(first, Receipt(written=2))
    spool.put(entries(4)).result(5)
    second = spool.seal(100)
    assert to_batch(second, "t").predictions == [record(2), record(3), record(4)]
    spool.remove(second, Receipt(written=3))
    assert [(one.batch, one.reason) for one in spool.aside()] == [("abc-5-5", "poison")]
    spool.close()
    Spool(tmp_path).close()


def test_a_spool_of_a_newer_version_is_left_alone(tmp_path):
    spool = Spool(tmp_path)
    spool.transact(lambda file, _: file.set_meta(version=99)).result(5)
    spool.close()
    with pytest.raises(UserError, match="version 99"):
        Spool(tmp_path)


def test_what_waits_too_long_is_dropped_and_counted(tmp_path):
    now = [1000.0]
    spool = Spool(tmp_path, clock=lambda: now[0])
    spool.put(entries(1, 2)).result(5)
    now[0] = 1060.0
    spool.put(entries(3)).result(5)
    assert (spool.age(), spool.expire(60)) == (60.0, 0)
    now[0] = 1061.0
    assert spool.expire(60) == 2
    assert to_batch(spool.seal(10), "t").predictions == [record(3)]
    counts = spool.counters()
    assert (counts["expired"], counts["pending"], spool.age()) == (2, 1, 1.0)
    spool.close()


def test_a_sealed_batch_expires_whole_or_not_at_all(tmp_path):
    """Half of it under another id would bring summaries twice."""
    now = [0.0]
    spool = Spool(tmp_path, clock=lambda: now[0])
    spool.put(entries(1, 2, 3)).result(5)
    spool.remove(spool.seal(1), Receipt(written=1))
    now[0] = 50.0
    spool.put(entries(4)).result(5)
    sealed = spool.seal(10)
    now[0] = 100.0
    assert spool.expire(60) == 0
    assert spool.seal(10) == sealed
    now[0] = 111.0
    assert spool.expire(60) == 3
    assert spool.seal(10) is None
    assert spool.counters()["bytes"] == 0
    spool.close()


def test_many_records_lie_together_and_are_still_parted(spool):
    spool.put(encode_records([record(n) for n in range(1200)])).result(5)
    sealed = spool.seal(5000)
    assert sealed.records == 1200
    assert len(sealed.entries) <= 3
    while sealed.records > 1:
        spool.split(sealed)
        sealed = spool.seal(5000)
    assert to_batch(sealed, "t").predictions == [record(0)]
    spool.set_aside(sealed, "why")
    found = []
    while (sealed := spool.seal(7)) is not None:
        found += to_batch(sealed, "t").predictions
        spool.remove(sealed, Receipt())
    assert found == [record(n) for n in range(1, 1200)]


def test_a_damaged_blob_is_set_aside_and_stops_nothing(spool):
    spool.put(encode_records([record(n) for n in range(3)])).result(5)
    spool.transact(lambda file, _: file.connection.execute("UPDATE blobs SET data = x'c1ff'")).result(5)
    spool.put(entries(9)).result(5)
    whole = spool.seal(3)
    with pytest.raises(msgspec.MsgspecError):
        to_batch(whole, "t")
    spool.split(whole)
    for _ in range(3):
        sealed = spool.seal(1)
        while sealed.records > 1:
            spool.split(sealed)
            sealed = spool.seal(1)
        with pytest.raises(msgspec.MsgspecError):
            to_batch(sealed, "t")
        spool.set_aside(sealed, "damaged")
    assert to_batch(spool.seal(10), "t").predictions == [record(9)]
    assert spool.counters()["set_aside"] == 3


def test_the_file_is_private(spool):
    assert (spool.path / "spool.db").stat().st_mode & 0o077 == 0


def test_sqlite_is_told_to_wait_for_the_disk(spool):
    found = spool.transact(
        lambda file, _: file.connection.execute("PRAGMA synchronous").fetchone()[0]
    ).result(5)
    assert found == 2
    assert sqlite3.connect(spool.path / "spool.db").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def _held(spool: Spool) -> threading.Event:
    """Keep the writing thread busy until the event is set, so that what follows lies in the queue."""
    busy, go_on = threading.Event(), threading.Event()
    spool.transact(lambda *_: (busy.set(), go_on.wait(10)))
    assert busy.wait(10)
    return go_on


def test_a_request_that_is_cancelled_takes_nobody_down(spool):
    go_on = _held(spool)

    async def cancelled() -> None:
        waiting = asyncio.ensure_future(asyncio.wrap_future(spool.put(entries(1))))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    go_on.set()
    assert spool.put(entries(2)).result(5)
    assert to_batch(spool.seal(10), "t").predictions == [record(2)]


def test_what_was_taken_cannot_be_cancelled_any_more(spool):
    started, go_on = threading.Event(), threading.Event()

    def slow(file, counts):
        started.set()
        go_on.wait(10)
        return "done"

    future = spool.transact(slow)
    assert started.wait(10)
    assert not future.cancel()
    go_on.set()
    assert future.result(5) == "done"


def test_a_write_that_sqlite_cannot_take_is_refused_alone(spool):
    go_on = _held(spool)
    futures = [spool.put(entries(1)), spool.put(entries(2), batch="\ud800"), spool.put(entries(3))]
    go_on.set()
    assert [type(future.exception(5)) for future in futures] == [type(None), SpoolError, type(None)]
    assert to_batch(spool.seal(10), "t").predictions == [record(1), record(3)]


def test_a_writer_that_dies_leaves_nobody_waiting_and_says_so(tmp_path, capsys):
    died = threading.Event()
    spool = Spool(tmp_path, on_death=died.set)
    go_on = _held(spool)

    def fault(file, counts):
        raise ZeroDivisionError

    futures = [spool.transact(fault), spool.put(entries(1)), spool.put(entries(2))]
    futures[2].cancel()
    go_on.set()
    for future in futures[:2]:
        with pytest.raises(SpoolError, match="ended by a fault"):
            future.result(5)
    assert died.wait(5)
    with pytest.raises(SpoolError, match="ended by a fault"):
        spool.put(entries(3)).result(5)
    spool.close()
    again = Spool(tmp_path, wait=0.1)
    assert again.pending == 0
    again.close()


def test_what_was_set_aside_is_tried_again_or_discarded(spool):
    for number in (1, 2):
        spool.put(entries(number)).result(5)
        spool.set_aside(spool.seal(10), "poison")
    first, second = (one.batch for one in spool.aside())
    assert spool.retry_aside(first) == 1
    assert (spool.counters()["set_aside"], spool.pending) == (1, 1)
    again = spool.seal(10)
    assert again.id != first  # a batch of its own: the database takes it once, under this id
    assert [row.id for row in to_batch(again, "t").predictions] == ["p1"]
    assert spool.retry_aside(first) == 0
    assert spool.discard_aside(second) == 1
    assert (spool.aside(), spool.counters()["set_aside"], spool.discard_aside(second)) == ([], 1, 0)


def test_what_does_not_fit_stays_aside(tmp_path):
    spool = Spool(tmp_path, limit=40_000)
    spool.put(entries(1, text="x" * 2000)).result(5)
    spool.set_aside(spool.seal(10), "poison")
    while spool.counters()["bytes"] < 38_500:
        spool.put(entries(2, text="y" * 500)).result(5)
    [one] = spool.aside()
    with pytest.raises(SpoolFullError):
        spool.retry_aside(one.batch)
    assert ([kept.batch for kept in spool.aside()], spool.counters()["set_aside"]) == ([one.batch], 1)
    spool.close()

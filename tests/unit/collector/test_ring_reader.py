from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime

import pytest

from collector import exchange as exchanges
from collector.capture import UNREAD, Capture
from collector.errors import SpoolFullError
from collector.exchange import Exchange, encode
from collector.metrics import CAPTURE_DROPPED
from collector.privacy import Gate
from collector.ring import Ring
from collector.ring_reader import RingReader
from collector.spool import Receipt, Spool, encode_record, to_batch
from remora.config import Config
from remora.records import Prediction

ASKED = b'POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'
NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
ANSWERED = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"prediction":1}'


def payload(number: int, asked: bytes = ASKED) -> bytes:
    return encode(
        Exchange(f"r{number}", 1e9 + number, 1.0, exchanges.COMPLETE, asked, ANSWERED, False, False, 200)
    )


@pytest.fixture
def ring(tmp_path):
    opened = Ring.create_or_open(tmp_path, 1 << 20)
    yield opened
    opened.path.unlink(missing_ok=True)
    opened.close()


@pytest.fixture
def spool(tmp_path):
    opened = Spool(tmp_path)
    yield opened
    opened.close()


def ids(spool: Spool) -> list[str]:
    sealed = spool.seal(1000)
    return [] if sealed is None else [row.id for row in to_batch(sealed, "t").predictions]


def test_carries_exchanges_into_the_spool_and_releases_them(ring, spool):
    reader = RingReader(ring, spool, Capture("m"), Gate(Config()))
    for number in range(3):
        ring.append(payload(number))
    assert reader.pending == 3
    assert reader.step()
    assert not reader.step()
    assert (reader.pending, ring.tail, ring.head) == (0, ring.head, spool.ring[1])
    assert ids(spool) == ["r0", "r1", "r2"]


def test_a_new_reader_goes_on_where_the_spool_says(ring, spool):
    for number in range(2):
        ring.append(payload(number))
    head = ring.head
    spool.put([], ring=(ring.id, head, 2)).result(5)  # committed, and killed before the release
    ring.append(payload(2))
    reader = RingReader(ring, spool, Capture("m"), Gate(Config()))
    assert ring.tail == head
    assert reader.pending == 1
    while reader.step():
        pass
    assert ids(spool) == ["r2"]


def test_a_ring_that_the_spool_does_not_know_is_read_from_its_tail(ring, spool):
    spool.put([], ring=(b"another ring", 10**6, 5)).result(5)
    ring.append(payload(7))
    RingReader(ring, spool, Capture("m"), Gate(Config())).step()
    assert ids(spool) == ["r7"]


def test_nothing_leaves_the_ring_while_the_spool_is_full(ring, tmp_path):
    small = Spool(tmp_path / "small", limit=1000)
    filling = encode_record(Prediction(model="m", id="f", timestamp=NOON, features={"a": "x" * 850}))
    small.put([filling]).result(5)
    reader = RingReader(ring, small, Capture("m"), Gate(Config()))
    ring.append(payload(1))
    reader.start()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and ring.tail == 0:
        time.sleep(0.02)
    assert (ring.tail, reader.pending) == (0, 1)
    reader.drain(10)
    assert ring.tail == 0
    small.close()


def test_drain_takes_what_lies_there_and_ends(ring, spool):
    reader = RingReader(ring, spool, Capture("m"), Gate(Config()))
    reader.start()
    for number in range(50):
        ring.append(payload(number))
    assert reader.drain(20)
    assert ids(spool) == [f"r{number}" for number in range(50)]


def test_what_is_no_exchange_is_passed_over_and_a_fault_still_counts(ring, spool, monkeypatch, capsys):
    class Faulty(Capture):
        def rows(self, exchange):
            if exchange.id == "r1":
                raise ZeroDivisionError
            return super().rows(exchange)

    reader = RingReader(ring, spool, Faulty("m"), Gate(Config()))
    for record in (payload(0), b"nonsense", payload(1), payload(2)):
        ring.append(record)
    reader.step()
    rows = to_batch(spool.seal(100), "t").predictions
    assert [row.id for row in rows] == ["r0", "r1", "r2"]
    assert rows[1].tags == {UNREAD: "fault"}


def large(size: int) -> bytes:
    body = b'{"a":1,"b":"%s","c":"%s"}' % (b"x" * (size // 2), b"y" * (size // 2))
    return b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


def test_a_ring_that_holds_more_than_the_spool_may_is_read_as_room_comes(ring, tmp_path):
    small = Spool(tmp_path / "small", limit=20_000)
    for number in range(100):
        ring.append(payload(number, large(1000)))
    reader, read = RingReader(ring, small, Capture("m"), Gate(Config())), []
    while reader.pending:
        with contextlib.suppress(SpoolFullError):
            while reader.step():
                assert small.counters()["bytes"] <= small.limit
        sealed = small.seal(1000)
        assert sealed is not None
        read += [row.id for row in to_batch(sealed, "t").predictions]
        small.remove(sealed, Receipt())
    assert read == [f"r{number}" for number in range(100)]
    small.close()


def test_an_exchange_larger_than_the_spool_is_recorded_without_its_contents(ring, tmp_path):
    small = Spool(tmp_path / "small", limit=1000)
    reader = RingReader(ring, small, Capture("m"), Gate(Config()))
    ring.append(payload(0, large(4000)))
    ring.append(payload(1))
    while reader.step():
        pass
    rows = to_batch(small.seal(10), "t").predictions
    assert [(row.id, row.tags.get(UNREAD)) for row in rows] == [("r0", "too_large"), ("r1", None)]
    small.close()


def test_what_even_then_does_not_fit_is_dropped_and_counted(ring, tmp_path):
    small = Spool(tmp_path / "small", limit=10)
    reader = RingReader(ring, small, Capture("m"), Gate(Config()))
    before = CAPTURE_DROPPED._value.get()
    ring.append(payload(0))
    assert reader.step()
    assert not reader.step()
    assert (reader.pending, ring.tail) == (0, ring.head)
    assert CAPTURE_DROPPED._value.get() == before + 1
    small.close()

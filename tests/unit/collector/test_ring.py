"""The ring against a list as its model, its edges, and a producer that is killed."""

import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import ring_file
from collector.ring import CAPTURED, DROPPED_FULL, DROPPED_OVERSIZE, Ring
from remora.errors import UserError

PAGE = 4096


@pytest.fixture(autouse=True)
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(ring_file, "_SHARED_MEMORY", folder)
    return folder


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def ring(spool: Path) -> Iterator[Ring]:
    opened = Ring.create_or_open(spool, PAGE)
    yield opened
    opened.close()


def payloads(ring: Ring, position: int = 0, limit: int = 10_000) -> list[bytes]:
    return [payload for payload, _ in ring.read(position, limit)]


def test_what_was_appended_is_read_in_order_until_it_is_released(ring: Ring) -> None:
    assert all(ring.append(part) for part in (b"one", b"", b"three"))
    records = list(ring.read(0, 10))
    assert [payload for payload, _ in records] == [b"one", b"", b"three"]
    assert [payload for payload, _ in ring.read(records[0][1], 1)] == [b""]
    ring.release(records[1][1])
    assert payloads(ring) == [b"three"]
    assert ring.counters()["captured_bytes"] == 8


def test_a_full_ring_drops_counts_and_takes_again_after_release(ring: Ring) -> None:
    part = b"x" * 1000
    taken = 0
    while ring.append(part):
        taken += 1
    assert taken == PAGE // 1008
    assert ring.counts[DROPPED_FULL] == 1
    ring.release(next(iter(ring.read(0, 1)))[1])
    assert ring.append(part)
    assert payloads(ring) == [part] * taken


def test_a_record_larger_than_a_quarter_of_the_ring_is_dropped_as_oversize(ring: Ring) -> None:
    assert not ring.append(b"x" * (PAGE // 4))
    assert ring.counts[DROPPED_OVERSIZE] == 1
    assert ring.head == 0


def test_records_run_over_the_end_of_the_ring(ring: Ring) -> None:
    position = 0
    for number in range(200):
        payload = bytes([number]) * (100 + number)
        assert ring.append(payload)
        [(seen, following)] = ring.read(position, 10)
        assert seen == payload
        assert following > position
        ring.release(following)
        position = following
    assert position == ring.head > 5 * PAGE


def test_a_damaged_record_costs_what_lies_before_the_head_and_is_counted_once(ring: Ring) -> None:
    for part in (b"good", b"damaged", b"lost"):
        ring.append(part)
    at = bytes(ring._data).index(b"damaged")
    ring._data[at] ^= 1
    [(payload, position)] = ring.read(0, 10)
    assert payload == b"good"
    assert payloads(ring, position) == []
    ring.append(b"after")
    assert payloads(ring, position) == [b"after"]
    assert ring.resyncs() == 1
    assert ring.counters()["resyncs"] == 1


@pytest.mark.parametrize("size", [0xFFFFFFFF, 3000])
def test_a_length_that_cannot_be_is_a_damaged_record(ring: Ring, size: int) -> None:
    ring.append(b"abc")
    struct.pack_into("<I", ring._data, 0, size)
    assert payloads(ring) == []
    assert ring.resyncs() == 1


def test_a_position_beyond_the_head_continues_at_the_head(ring: Ring) -> None:
    ring.append(b"before")
    assert payloads(ring, position=10_000) == []
    ring.append(b"after")
    assert payloads(ring, position=10_000) == [b"after"]


def test_reopening_keeps_id_records_and_counters(spool: Path) -> None:
    first = Ring.create_or_open(spool, PAGE)
    first.append(b"kept")
    identity, head = first.id, first.head
    first.close()
    second = Ring.create_or_open(spool, PAGE)
    assert (second.id, second.head, payloads(second)) == (identity, head, [b"kept"])
    assert second.counts[CAPTURED] == 1
    assert len(identity) == 16
    second.close()


def test_a_ring_of_another_size_or_version_is_replaced(spool: Path, shared_memory: Path) -> None:
    first = Ring.create_or_open(spool, PAGE)
    first.append(b"old")
    identity = first.id
    first.close()
    second = Ring.create_or_open(spool, 2 * PAGE)
    assert second.id != identity
    assert payloads(second) == []
    second.append(b"newer")
    second.close()
    with next(shared_memory.iterdir()).open("r+b") as file:
        file.seek(8)
        file.write(b"\xff")
    third = Ring.create_or_open(spool, 2 * PAGE)
    assert payloads(third) == []
    third.close()


def test_the_consumer_attaches_without_the_lock_and_sees_new_records(ring: Ring, spool: Path) -> None:
    consumer = Ring.attach(spool)
    ring.append(b"late")
    [(payload, position)] = consumer.read(0, 10)
    consumer.release(position)
    assert payload == b"late"
    assert ring.tail == position
    assert consumer.counters()["captured"] == 1
    consumer.close()


def test_attaching_to_nothing_says_so(spool: Path) -> None:
    with pytest.raises(UserError, match="no ring"):
        Ring.attach(spool)


def test_two_forwarders_on_one_spool_are_refused(ring: Ring, spool: Path) -> None:
    with pytest.raises(UserError, match="another sidecar already uses the spool"):
        Ring.create_or_open(spool, PAGE)


def test_without_shared_memory_the_ring_lies_in_the_spool(spool: Path, shared_memory: Path) -> None:
    shared_memory.rmdir()
    ring = Ring.create_or_open(spool, PAGE)
    assert ring.path.parent == spool
    ring.append(b"here")
    attached = Ring.attach(spool)
    assert payloads(attached) == [b"here"]
    attached.close()
    ring.close()


def test_no_room_anywhere_is_one_clear_line(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(UserError, match=r"no room for a ring of 1 MiB .* No space left on device"):
        Ring.create_or_open(spool, 1024 * 1024)
    assert [path.name for path in spool.iterdir()] == ["forwarder.lock"]


def test_a_size_that_is_no_multiple_of_a_page_is_refused(spool: Path) -> None:
    with pytest.raises(UserError, match="multiple of 4096"):
        Ring.create_or_open(spool, 5000)


def test_unlink_only_when_drained(ring: Ring) -> None:
    ring.append(b"x")
    assert not ring.unlink()
    ring.release(ring.head)
    assert ring.unlink()
    assert not ring.path.exists()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=1100).map(lambda payload: ("append", payload)),
            st.integers(1, 5).map(lambda count: ("take", count)),
            st.just(("reopen", 0)),
        ),
        max_size=60,
    )
)
def test_behaves_as_a_list_of_bounded_size(steps: list[tuple[str, bytes | int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ring = Ring.create_or_open(Path(folder), PAGE)
        model: list[bytes] = []
        used = 0
        for step, value in steps:
            if isinstance(value, bytes):
                need = (len(value) + 15) // 8 * 8
                fits = need <= PAGE // 4 and used + need <= PAGE
                assert ring.append(value) is fits
                if fits:
                    model.append(value)
                    used += need
            elif step == "take":
                for payload, position in list(ring.read(ring.tail, value)):
                    assert payload == model.pop(0)
                    used -= (len(payload) + 15) // 8 * 8
                    ring.release(position)
            else:
                ring.close()
                ring = Ring.create_or_open(Path(folder), PAGE)
            assert payloads(ring) == model
        assert ring.resyncs() == 0
        ring.unlink()
        ring.close()


PRODUCER = """
import sys
from pathlib import Path
import collector.ring_file
from collector.ring import Ring
collector.ring_file._SHARED_MEMORY = Path(sys.argv[2])
ring = Ring.create_or_open(Path(sys.argv[1]), 1 << 20)
print("ready", flush=True)
number = 0
while True:
    number += 1
    payload = str(number).encode().rjust(8, b"0") * (1 + number % 97)
    while not ring.append(payload):
        pass
"""


def test_a_killed_producer_leaves_only_whole_records(spool: Path, shared_memory: Path) -> None:
    expected = 1
    last = 0
    for round_number in range(3):
        command = [sys.executable, "-c", PRODUCER, str(spool), str(shared_memory)]
        root = str(Path(__file__).parents[3])
        producer = subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root}
        )
        assert producer.stdout is not None
        with producer.stdout:
            assert producer.stdout.readline() == b"ready\n"
        consumer = Ring.attach(spool)
        target = last + 300_000
        deadline = time.monotonic() + 30
        expected = 1
        while last < target and time.monotonic() < deadline:
            last, expected = drain(consumer, last, expected)
        os.kill(producer.pid, signal.SIGKILL)
        producer.wait()
        consumer.close()
        reopened = Ring.create_or_open(spool, 1 << 20)
        last, expected = drain(reopened, last, expected, limit=1_000_000)
        assert last == reopened.head >= target
        assert reopened.resyncs() == 0, round_number
        reopened.close()


def drain(ring: Ring, last: int, expected: int, limit: int = 1000) -> tuple[int, int]:
    """Reads on; each record must be the next one, whole."""
    for payload, position in ring.read(last, limit):
        assert position > last
        assert payload == str(expected).encode().rjust(8, b"0") * (1 + expected % 97)
        last = position
        expected += 1
        ring.release(position)
    return last, expected

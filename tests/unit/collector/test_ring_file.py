"""Rings that nobody uses any more: removed where nothing waits in them, and only where they are ours."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector import ring_file
from collector.ring import Ring

PAGE = 4096


@pytest.fixture(autouse=True)
def shared_memory(tmp_path, monkeypatch):
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(ring_file, "_SHARED_MEMORY", folder)
    return folder


@pytest.fixture
def swept(tmp_path):
    """What the start of another sidecar finds: path, and whether it removed it."""
    return lambda: [(one.path, one.removed) for one in ring_file.left_behind(tmp_path / "another")]


def left(spool: Path, *records: bytes) -> Path:
    """The file of a ring whose users are gone."""
    ring = Ring.create_or_open(spool, PAGE)
    for record in records:
        ring.append(record)
    ring.close()
    return ring.path


def test_an_empty_ring_of_the_dead_goes_and_its_spool_starts_anew(tmp_path, swept):
    path = left(tmp_path / "a")
    assert swept() == [(path, True)]
    assert not path.exists()
    assert swept() == []
    ring = Ring.create_or_open(tmp_path / "a", PAGE)
    assert ring.append(b"again")
    ring.close()


def test_one_in_which_records_wait_stays_and_says_whose_it_is(tmp_path, swept):
    path = left(tmp_path / "a", b"answered")
    [found] = ring_file.left_behind(tmp_path / "another")
    assert (found.removed, found.spool, found.size) == (False, str(tmp_path / "a"), 2 * PAGE)
    ring = Ring.create_or_open(tmp_path / "a", PAGE)
    assert [payload for payload, _ in ring.read(0, 10)] == [b"answered"]
    ring.release(ring.head)
    assert swept() == []
    ring.close()
    assert swept() == [(path, True)]


@pytest.mark.parametrize("alive", ["forwarder", "recorder"])
def test_one_that_somebody_uses_stays(tmp_path, swept, alive):
    forwarder = Ring.create_or_open(tmp_path / "a", PAGE)
    recorder = Ring.attach(tmp_path / "a")
    survivor, dead = (forwarder, recorder) if alive == "forwarder" else (recorder, forwarder)
    dead.close()
    assert swept() == []
    survivor.close()
    assert swept() == [(survivor.path, True)]


def test_ones_own_stays_for_it_is_about_to_be_used(tmp_path):
    path = left(tmp_path / "a")
    assert list(ring_file.left_behind(tmp_path / "a")) == []
    assert path.exists()


def test_that_of_an_older_remora_which_held_no_lock_stays(tmp_path, swept):
    path = left(tmp_path / "a")
    with path.open("r+b") as file:
        file.seek(ring_file._SIGNED * 8)
        file.write(struct.pack("=Q", 0))
    assert swept() == []
    Ring.create_or_open(tmp_path / "a", PAGE).close()
    assert swept() == [(path, True)]


def test_what_is_not_ours_stays(tmp_path, shared_memory, swept):
    (shared_memory / "remora-notes").write_bytes(b"x" * 2 * PAGE)
    (shared_memory / f"remora-{'a' * 24}.ring").write_bytes(b"x" * 2 * PAGE)
    (shared_memory / f"remora-{'b' * 24}.ring").write_bytes(b"short")
    (shared_memory / f"remora-{'c' * 24}.ring").symlink_to(tmp_path / "elsewhere")
    (shared_memory / f"remora-{'d' * 24}.ring").mkdir()
    os.mkfifo(shared_memory / f"remora-{'e' * 24}.ring")
    before = sorted(shared_memory.iterdir())
    assert swept() == []
    assert sorted(shared_memory.iterdir()) == before


def test_another_users_stays(tmp_path, shared_memory, swept, monkeypatch):
    path = left(tmp_path / "a")
    draft = shared_memory / f"remora-{'f' * 24}.ring.77.0123abcd"
    draft.touch()
    os.utime(draft, (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        assert swept() == []
    assert sorted(swept()) == sorted([(path, True), (draft, True)])


def test_a_half_made_one_goes_when_it_is_old_and_nobody_makes_it(tmp_path, shared_memory, swept):
    draft = shared_memory / f"remora-{'a' * 24}.ring.77.0123abcd"
    draft.write_bytes(b"")
    assert swept() == []
    os.utime(draft, (0, time.time() - 120))
    with draft.open("rb") as file:
        ring_file._share(file.fileno())
        assert swept() == []
    assert swept() == [(draft, True)]


def test_one_that_is_removed_while_it_is_opened_is_made_anew(tmp_path, monkeypatch):
    path = left(tmp_path / "a")
    share = ring_file._share

    def late(fd):
        monkeypatch.setattr(ring_file, "_share", share)
        assert [one.removed for one in ring_file.left_behind(tmp_path / "another")] == [True]
        share(fd)

    monkeypatch.setattr(ring_file, "_share", late)
    ring = Ring.create_or_open(tmp_path / "a", PAGE)
    assert path.exists()
    assert path.stat().st_ino == os.fstat(ring._held[0]).st_ino
    ring.close()


def test_without_shared_memory_there_is_nothing_to_do(shared_memory, swept):
    shared_memory.rmdir()
    assert swept() == []


USER = """
import sys, time
from pathlib import Path
from collector import ring_file
from collector.ring import Ring
ring_file._SHARED_MEMORY = Path(sys.argv[2])
ring = Ring.create_or_open(Path(sys.argv[1]), 4096)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_lets_go(tmp_path, shared_memory, swept):
    root = str(Path(__file__).parents[3])
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(tmp_path / "a"), str(shared_memory)],
        stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
    assert swept() == []
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [removed for _, removed in swept()] == [True]

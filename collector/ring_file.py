"""The files that rings lie in: where they are, who uses them, and those that a killed sidecar left.

Whoever maps a ring holds a shared lock on its file. The kernel lets it go when the process dies, in whatever container it
ran: a file whose lock can be had alone belongs to nobody who lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import re
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remora.errors import UserError

__all__ = [
    "HEAD", "ID", "MIB", "PAGE", "TAIL", "Left", "RingFile", "create_file", "find_file", "left_behind", "lock_spool",
    "places",
]  # fmt: skip

MIB: Final = 1024 * 1024
PAGE: Final = 4096
_MAGIC: Final = int.from_bytes(b"REMORING", "little")
_VERSION: Final = 1
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (no temporary name: see _open_private)

# Places of words in the header: magic, version and capacity are the first three.
ID, _SIGNED, HEAD, TAIL = 3, 5, 8, 16
_SPOOL: Final = 1024  # the place of its folder's name, in bytes
_SPOOL_BYTES: Final = 2048
_START: Final = struct.Struct("=QQQ")
_NAME: Final = re.compile(r"remora-[0-9a-f]{24}\.ring(\.\d+\.[0-9a-f]{8})?")
_DRAFT_SECONDS: Final = 60.0
_LOCK_SECONDS: Final = 1.0


@dataclass(frozen=True)
class RingFile:
    """A ring's file, mapped. `held` is the descriptor with the shared lock: to be closed when the memory is."""

    path: Path
    memory: mmap.mmap
    held: int

    def sign(self, spool_dir: Path) -> None:
        """Note that whoever uses this file holds its lock (older Remoras did not), and whose it is."""
        name = os.fsencode(spool_dir.resolve())[: _SPOOL_BYTES - 1]
        self.memory[_SPOOL : _SPOOL + _SPOOL_BYTES] = name.ljust(_SPOOL_BYTES, b"\0")
        struct.pack_into("=Q", self.memory, _SIGNED * 8, 1)


@dataclass(frozen=True)
class Left:
    """A file of a sidecar that lives no more; it is `removed` unless records wait in it for the next start on its spool."""

    path: Path
    spool: str
    size: int
    removed: bool


def places(spool_dir: Path) -> tuple[Path, Path]:
    """Where the ring of a spool may lie, the better place first."""
    key = hashlib.sha256(os.fsencode(spool_dir.resolve())).hexdigest()[:24]
    return _SHARED_MEMORY / f"remora-{key}.ring", spool_dir / "exchanges.ring"


def lock_spool(spool_dir: Path) -> int:
    """The descriptor that keeps other forwarders off this spool. Raises UserError where one holds it."""
    path = spool_dir / "forwarder.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise UserError(
            f"another sidecar already uses the spool {spool_dir}; give each its own --spool"
        ) from None
    return fd


def find_file(spool_dir: Path, capacity: int | None) -> RingFile | None:
    """The ring of a spool, of any capacity or of this one; None where there is none."""
    for path in places(spool_dir):
        found = _open_private(path, capacity)
        if found is not None:
            return found
    return None


def _open_private(path: Path, capacity: int | None) -> RingFile | None:
    """Map an existing ring; None when absent, a stranger's (the folder may be everybody's) or of another form."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    memory = None
    try:
        if _is_ring(os.fstat(fd)):
            _share(fd)
            memory = mmap.mmap(fd, os.fstat(fd).st_size)
            if os.fstat(fd).st_nlink and _fits(memory, capacity):  # not removed while we waited for the lock
                return RingFile(path, memory, fd)
    except OSError:
        pass
    if memory is not None:
        memory.close()
    os.close(fd)
    return None


def _is_ring(found: os.stat_result) -> bool:
    size = found.st_size
    return found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode) and size > PAGE and not size % PAGE


def _fits(memory: mmap.mmap, capacity: int | None) -> bool:
    header = _START.unpack_from(memory)
    return header == (_MAGIC, _VERSION, len(memory) - PAGE) and capacity in (None, header[2])


def _share(fd: int) -> None:
    """Take the shared lock. Only `left_behind` holds it alone, for a moment; a stranger's would stop no start of ours."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)
        else:
            return


def create_file(spool_dir: Path, capacity: int) -> RingFile:
    """A new ring in the first place that has room. Raises UserError where none has."""
    if capacity <= 0 or capacity % PAGE:
        raise UserError(f"the ring's size must be a multiple of {PAGE} bytes, not {capacity}")
    problem: OSError | None = None
    for path in places(spool_dir):
        try:
            return _create_at(path, capacity)
        except OSError as error:
            problem = error
    reason = problem.strerror if problem else "no place"
    raise UserError(
        f"no room for a ring of {capacity // MIB} MiB in {_SHARED_MEMORY} or {spool_dir}: {reason}"
    )


def _create_at(path: Path, capacity: int) -> RingFile:
    """Make the file whole under another name first: whoever attaches never sees half a header."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _share(fd)
        # Take the room now: a sparse file on a full tmpfs would be a SIGBUS in the middle of traffic.
        os.posix_fallocate(fd, 0, PAGE + capacity)
        memory = mmap.mmap(fd, PAGE + capacity)
        _START.pack_into(memory, 0, _MAGIC, _VERSION, capacity)
        memory[ID * 8 : ID * 8 + 16] = os.urandom(16)
        draft.rename(path)
    except OSError:
        os.close(fd)
        draft.unlink(missing_ok=True)
        raise
    return RingFile(path, memory, fd)


# --- what the dead leave --------------------------------------------------------------------------------------------------


def left_behind(spool_dir: Path) -> Iterator[Left]:
    """Remove what this user's dead sidecars left in shared memory, and tell of each file.

    What may still be wanted stays: this spool's own ring, and those in which records wait, which the next sidecar on
    their spool delivers.
    """
    own = places(spool_dir)[0].name
    with contextlib.suppress(OSError):
        for path in sorted(_SHARED_MEMORY.iterdir()):
            named = _NAME.fullmatch(path.name)
            if named and path.name != own:
                yield from _clear(path, draft=named[1] is not None)


def _clear(path: Path, *, draft: bool) -> Iterator[Left]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return  # a stranger's, or gone
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or not found.st_nlink:
            return
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where somebody lives
        if draft:
            if time.time() - found.st_mtime < _DRAFT_SECONDS:
                return  # made at this moment, and not locked yet
            spool, waits = "", False
        else:
            spool, waits = _waiting(fd, found)
        if not waits:
            path.unlink()
        yield Left(path, spool, found.st_size, removed=not waits)
    except OSError:
        return
    finally:
        os.close(fd)


def _waiting(fd: int, found: os.stat_result) -> tuple[str, bool]:
    """The spool of a ring, and whether records wait in it. Raises OSError for what is no ring that says who uses it."""
    if not _is_ring(found):
        raise OSError
    with mmap.mmap(fd, PAGE, access=mmap.ACCESS_READ) as memory:
        words = struct.unpack_from(f"={TAIL + 1}Q", memory)
        if words[:2] != (_MAGIC, _VERSION) or not words[_SIGNED]:
            raise OSError
        spool = memory[_SPOOL : _SPOOL + _SPOOL_BYTES].split(b"\0", 1)[0]
        return os.fsdecode(spool), words[HEAD] != words[TAIL]

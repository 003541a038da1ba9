"""One process per spool: the lock on its folder, which the kernel lets go when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from remora.errors import UserError
from remora.telemetry import get_logger

__all__ = ["lock_folder"]

log = get_logger("spool")


def lock_folder(path: Path, wait: float) -> int:
    """The descriptor that holds the lock. Raises UserError when another process keeps it for `wait` seconds."""
    fd = os.open(path / "spool.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait
    said = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise UserError(f"another process uses the spool {path}: give each its own --spool") from None
            if not said:
                log.info("spool_waits", path=str(path), why="another recorder is still emptying it")
                said = True
            time.sleep(0.05)
        else:
            return fd

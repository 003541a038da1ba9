"""What must be right before anybody is listened to, and what of remora.yaml the forwarder must know."""

from __future__ import annotations

import os
import time
from pathlib import Path

from collector.handover import Captured, Options
from collector.privacy import Gate
from collector.trust import tls_of, trusting
from remora.config import load
from remora.errors import UserError
from remora.settings import parse_api_address
from remora.sockets import check_tls, listen

__all__ = ["describe"]

_API_SECONDS = 5.0  # the recorder of a forwarder that was killed may still be leaving its address


def describe(options: Options, *, patience: float = _API_SECONDS) -> Captured:
    """The capture settings of the model. Raises UserError for the first mistake that a person must mend."""
    config = load(Path(options.config) if options.config else None)
    Gate(config, options.hash_key)
    capture = config.model(options.model).capture
    if options.database is not None:
        _check_database(options.database)
    _check_spool(Path(options.spool))
    check_tls(tls_of(options))
    trusting(options)
    _check_api(options, patience)
    return Captured(
        paths=list(capture.paths),
        ids=[name.lower() for name in capture.ids],
        answer_id=capture.answer_id,
        max_body=capture.max_body,
    )


def _check_database(url: str) -> None:
    from remora.database import connect  # noqa: PLC0415  (a fifth of a second that who forwards does not wait)

    connect(url).dispose()


def _check_spool(folder: Path) -> None:
    """Whether its files can be written. Its lock may be held: by a recorder that still empties it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(folder / "spool.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if (folder / "spool.db").exists():
            os.close(os.open(folder / "spool.db", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise UserError(f"the spool {folder} cannot be written: {why}: choose another --spool") from None


def _check_api(options: Options, patience: float) -> None:
    deadline = time.monotonic() + patience
    while options.api:
        try:
            listen(parse_api_address(options.api, "--api", options.api_mode), "--api").close()
        except UserError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)
        else:
            return

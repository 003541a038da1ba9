"""`remora sidecar`: checks what a person must mend, then becomes the forwarder, which starts the recorder.

What the checking takes (reading options, remora.yaml, a database's URL) is ten megabytes and more: a new program in the
same process carries none of it.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from collector.describe import describe
from collector.handover import Forwarding, Options, forward_command, forward_environment
from remora.errors import UserError
from remora.settings import SidecarSettings, Trust, UnixAddress

__all__ = ["main"]


def main(settings: SidecarSettings) -> NoReturn:
    """Become the forwarder. Raises UserError for what the person at the keyboard can mend."""
    recorder = _recorder_options(settings)
    forwarding = Forwarding(
        listen_host=settings.listen.host,
        listen_port=settings.listen.port,
        upstream=settings.upstream,
        connect_timeout=settings.connect_timeout,
        response_timeout=settings.response_timeout,
        captured=describe(recorder),
        recorder=recorder,
    )
    sys.stdout.flush()
    try:
        os.execve(sys.executable, forward_command(forwarding), forward_environment(forwarding))  # noqa: S606
    except OSError as error:
        raise UserError(f"no process can be started: {os.strerror(error.errno or 0)}") from None


def _texts(trust: Trust) -> tuple[str | None, str | None, str | None]:
    ca, cert, key = (str(path) if path else None for path in (trust.ca, trust.cert, trust.key))
    return ca, cert, key


def _recorder_options(settings: SidecarSettings) -> Options:
    return Options(
        model=settings.model,
        version=settings.version,
        spool=str(settings.spool.resolve()),
        spool_bytes=settings.spool_bytes,
        database=settings.database,
        forward=settings.forward,
        config=str(settings.config) if settings.config else None,
        api=str(settings.api) if settings.api else "",
        api_mode=f"{settings.api.mode:o}" if isinstance(settings.api, UnixAddress) else "600",
        tls=(str(settings.tls.cert), str(settings.tls.key)) if settings.tls else None,
        trust=_texts(settings.trust),
        token=settings.token,
        token_rate=settings.token_rate,
        forward_token=settings.forward_token,
        hash_key=settings.hash_key,
        parent=os.getpid(),
    )

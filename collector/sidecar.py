"""`remora sidecar`: the forwarder in this process, the recorder in another. Imports stay few, for memory's sake."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from collector.handover import Captured, Options, describe_command, environment
from collector.proxy import ProxyOptions, parse_upstream, serve
from collector.ring import Ring
from collector.ring_file import left_behind
from collector.supervisor import Supervisor
from remora.errors import UserError
from remora.settings import SidecarSettings, Trust, UnixAddress
from remora.telemetry import configure_logging, get_logger

__all__ = ["main", "raise_descriptor_limit", "run"]

log = get_logger("sidecar")

_SOCKET = "api.sock"
_STOP_SECONDS = 30.0


def main(settings: SidecarSettings) -> None:
    """Run until SIGTERM or Ctrl-C. Raises UserError for what the person at the keyboard can mend."""
    import uvloop  # noqa: PLC0415  (not on every platform; the tests run on plain asyncio, too)

    configure_logging()
    raise_descriptor_limit()
    uvloop.run(run(settings))


def raise_descriptor_limit() -> None:
    """A connection takes two descriptors: have as many as the system allows, where the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run(settings: SidecarSettings, *, on_listening: Callable[[int], None] | None = None) -> None:
    """Forward and record until a signal comes. `on_listening` is told the proxy's port."""
    with tempfile.TemporaryDirectory(prefix="remora-") as folder:  # short: a socket's path has 107 characters
        api_socket = None if settings.api else Path(folder) / _SOCKET
        recorder = _recorder_options(settings, api_socket)
        options = _proxy_options(settings, await _captured(recorder), api_socket)
        _clear_up(settings.spool)
        ring = Ring.create_or_open(settings.spool)
        try:
            await _run(settings, options, recorder, ring, on_listening)
            if ring.unlink():
                log.debug("ring_removed")  # it is empty: nothing waits for the next start
        finally:
            ring.close()


def _clear_up(spool: Path) -> None:
    """Give back the memory that killed sidecars of this machine left: they may never be started again."""
    for left in left_behind(spool):
        what = "removed" if left.removed else "kept: exchanges wait in it for a sidecar on that spool"
        log.warning("ring_left_behind", ring=str(left.path), spool=left.spool, bytes=left.size, what=what)


async def _run(
    settings: SidecarSettings,
    options: ProxyOptions,
    recorder: Options,
    ring: Ring,
    on_listening: Callable[[int], None] | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(recorder)
    recording = asyncio.create_task(supervisor.run())  # nothing that becomes of it ends the forwarding
    announcing: list[asyncio.Task[None]] = []

    def listening(port: int) -> None:
        announcing.append(
            loop.create_task(_announce(f"{settings.listen.host}:{port}", settings.model, supervisor))
        )
        log.info("sidecar_listening", address=f"{settings.listen.host}:{port}", upstream=settings.upstream)
        if on_listening is not None:
            on_listening(port)

    try:
        await serve(options, ring, stop, on_listening=listening)
    finally:
        for task in announcing:
            task.cancel()
        await supervisor.stop(_STOP_SECONDS)
        await recording
    log.info("sidecar_stopped")


async def _announce(address: str, model: str, supervisor: Supervisor) -> None:
    report = await supervisor.ready
    log.info("recorder_ready", api=report.api or f"{address} below /remora/", model=model)


async def _captured(options: Options) -> Captured:
    """What remora.yaml says about capturing. Raises UserError for what is wrong with it or with the options."""
    try:
        process = await asyncio.create_subprocess_exec(
            *describe_command(), env=environment(options), stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise UserError(f"no process can be started: {os.strerror(error.errno or 0)}") from None
    line, _ = await process.communicate()
    try:
        captured = msgspec.json.decode(line, type=Captured)
    except msgspec.MsgspecError:
        raise UserError("the options could not be checked: the lines above say why") from None
    if captured.error:
        raise UserError(captured.error)
    return captured


def _proxy_options(settings: SidecarSettings, captured: Captured, api_socket: Path | None) -> ProxyOptions:
    return ProxyOptions(
        listen_host=settings.listen.host,
        listen_port=settings.listen.port,
        upstream=parse_upstream(settings.upstream),
        api_socket=api_socket,
        ids=tuple(captured.ids),
        capture_paths=tuple(captured.paths) or ("/",),
        capture_limit=captured.max_body,
        connect_timeout=settings.connect_timeout,
        response_timeout=settings.response_timeout,
        add_id_header=captured.answer_id,
    )


def _texts(trust: Trust) -> tuple[str | None, str | None, str | None]:
    ca, cert, key = (str(path) if path else None for path in (trust.ca, trust.cert, trust.key))
    return ca, cert, key


def _recorder_options(settings: SidecarSettings, api_socket: Path | None) -> Options:
    return Options(
        model=settings.model,
        version=settings.version,
        spool=str(settings.spool.resolve()),
        spool_bytes=settings.spool_bytes,
        database=settings.database,
        forward=settings.forward,
        config=str(settings.config) if settings.config else None,
        socket=str(api_socket) if api_socket else None,
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

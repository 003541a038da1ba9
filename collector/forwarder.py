"""The first process of a sidecar: moves bytes between callers and the model. `python -m collector.forwarder`.

`remora sidecar` becomes it once everything is checked (`collector.sidecar`). Imports stay few, for memory's sake.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from collector.handover import Forwarding, Options, read_forwarding
from collector.proxy import ProxyOptions, parse_upstream, serve
from collector.ring import Ring
from collector.ring_file import left_behind
from collector.supervisor import Supervisor
from remora.errors import UserError
from remora.telemetry import configure_logging, get_logger

__all__ = ["main"]

log = get_logger("sidecar")

_SOCKET = "api.sock"
_STOP_SECONDS = 30.0


def main() -> int:
    """Run until SIGTERM or Ctrl-C; 2 is a mistake that a person must mend."""
    import uvloop  # noqa: PLC0415  (not on every platform; the tests run on plain asyncio, too)

    try:
        forwarding = read_forwarding()
        configure_logging()
        _raise_descriptor_limit()
        uvloop.run(_forward(forwarding))
    except UserError as error:
        print(f"remora: {error}", file=sys.stderr)  # noqa: T201  (as the command line says it)
        return 2
    except KeyboardInterrupt:  # before there was anything to end
        return 130
    return 0


def _raise_descriptor_limit() -> None:
    """A connection takes two descriptors: have as many as the system allows, where the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _forward(forwarding: Forwarding) -> None:
    """Forward and record until a signal comes."""
    recorder = forwarding.recorder
    with tempfile.TemporaryDirectory(prefix="remora-") as folder:  # short: a socket's path has 107 characters
        api_socket = None if recorder.api else Path(folder) / _SOCKET
        options = _proxy_options(forwarding, api_socket)
        spool = Path(recorder.spool)
        _clear_up(spool)
        ring = Ring.create_or_open(spool)
        try:
            recorder = replace(recorder, socket=str(api_socket) if api_socket else None)
            await _run(options, recorder, ring, forwarding.upstream)
            if ring.unlink():
                log.debug("ring_removed")  # it is empty: nothing waits for the next start
        finally:
            ring.close()


def _clear_up(spool: Path) -> None:
    """Give back the memory that killed sidecars of this machine left: they may never be started again."""
    for left in left_behind(spool):
        what = "removed" if left.removed else "kept: exchanges wait in it for a sidecar on that spool"
        log.warning("ring_left_behind", ring=str(left.path), spool=left.spool, bytes=left.size, what=what)


async def _run(options: ProxyOptions, recorder: Options, ring: Ring, upstream: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(recorder)
    recording = asyncio.create_task(supervisor.run())  # nothing that becomes of it ends the forwarding
    announcing: list[asyncio.Task[None]] = []

    def listening(port: int) -> None:
        address = f"{options.listen_host}:{port}"
        announcing.append(loop.create_task(_announce(address, recorder.model, supervisor)))
        log.info("sidecar_listening", address=address, upstream=upstream)

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


def _proxy_options(forwarding: Forwarding, api_socket: Path | None) -> ProxyOptions:
    captured = forwarding.captured
    return ProxyOptions(
        listen_host=forwarding.listen_host,
        listen_port=forwarding.listen_port,
        upstream=parse_upstream(forwarding.upstream),
        api_socket=api_socket,
        ids=tuple(captured.ids),
        capture_paths=tuple(captured.paths) or ("/",),
        capture_limit=captured.max_body,
        connect_timeout=forwarding.connect_timeout,
        response_timeout=forwarding.response_timeout,
        add_id_header=captured.answer_id,
    )


if __name__ == "__main__":
    sys.exit(main())

"""Fixtures of the tests between real processes and sockets."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from collector.ring import Ring
from tests.sidecar_world import Model, Sidecar


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    opened = Ring.create_or_open(tmp_path / "spool", 4 * 1024 * 1024)
    yield opened
    opened.release(opened.head)
    opened.unlink()
    opened.close()


@pytest.fixture
def model():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def start(tmp_path, model):
    started: list[Sidecar] = []

    def begin(*options: str) -> Sidecar:
        started.append(Sidecar(tmp_path, model, *options))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.kill()
    for path in {one.spool for one in started if one.spool.exists()}:
        with contextlib.suppress(Exception):
            ring = Ring.attach(path)
            ring.path.unlink()
            ring.close()

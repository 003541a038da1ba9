"""What stands between callers and model in `proxy.py` besides Remora: nothing, the least, nginx, haproxy."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop
from conservation_traffic import free_port
from loopback import listen, wait_for

__all__ = ["PEERS", "peer", "run_bare"]


class _Bare(asyncio.Protocol):
    """The least that a Python proxy can do: bytes from one socket to the other."""

    def __init__(self, port: int, other: _Bare | None = None) -> None:
        self.port = port
        self.other = other
        self.waiting: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.other is None:
            other = self.other = _Bare(self.port, self)
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(loop.create_connection(lambda: other, "127.0.0.1", self.port))
        for data in self.waiting:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        other = self.other
        assert other is not None
        if other.transport is None:
            other.waiting.append(data)
        else:
            other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


def run_bare(upstream: int) -> None:
    """Serve until killed; the port is printed."""
    uvloop.run(listen(lambda: _Bare(upstream)))


# Each with one process that works, connections to the model that are kept, and no log of requests.
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000;
    location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; }} }} }}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 1024
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend callers
  bind 127.0.0.1:{port}
  default_backend model
backend model
  server one 127.0.0.1:{upstream}
"""
PEERS = {
    "nginx": (NGINX, ("-p", "{folder}", "-c", "{file}")),
    "haproxy": (HAPROXY, ("-db", "-f", "{file}")),
}


@contextlib.contextmanager
def peer(program: str, name: str, upstream: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Starts one of PEERS; yields the process that works and its port."""
    configuration, arguments = PEERS[name]
    port, file = free_port(), folder / f"{name}.conf"
    file.write_text(configuration.format(folder=folder, upstream=upstream, port=port))
    command = [program, *(word.format(folder=folder, file=file) for word in arguments)]
    parent = subprocess.Popen(command)
    try:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        worker = (
            parent.pid if name == "haproxy" else int(wait_for(lambda: children.read_text().split(), name)[0])
        )
        wait_for(lambda: _listens(port), f"{name} to listen")
        yield worker, port
    finally:
        parent.terminate()
        parent.wait()


def _listens(port: int) -> bool:
    table = Path("/proc/net/tcp").read_text()
    return f"0100007F:{port:04X} 00000000:0000 0A" in table

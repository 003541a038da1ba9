"""The traffic of `conservation.py`: it remembers what it sent, and what was acknowledged."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

__all__ = ["Traffic", "free_port", "model_server"]

_ROWS = 20


class _Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"prediction": true, "probability": 0.75}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A caller that was killed is what this is about."""


@contextlib.contextmanager
def model_server() -> Iterator[str]:
    """A model that says yes; its URL."""
    server = _Server(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    """A port that nobody has, below those from which callers call: one of these may call itself while nobody listens."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise SystemExit("no port is free")


class Traffic:
    """Two callers of a sidecar: one asks the model through the proxy, one sends predictions and labels to the API."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent: set[str] = set()
        self.acknowledged: dict[str, int] = {}  # id -> round
        self.labelled: set[str] = set()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def reaches(self) -> bool:
        """Whether the sidecar and its recorder answer."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/remora/readyz", timeout=5).status_code == 200
        return False

    def start(self, number: int) -> None:
        """Begin to call, in round `number`."""
        self._stop.clear()
        self._threads = [threading.Thread(target=each, args=(number,)) for each in (self._ask, self._send)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10) as client:
            for count in range(2000):
                if self._stop.wait(0.002):
                    return
                key = f"proxy-{number}-{count}"
                self.sent.add(key)
                with contextlib.suppress(httpx.HTTPError):
                    answer = client.post("/predict", json={"x": count}, headers={"x-request-id": key})
                    if answer.status_code == 200 and answer.headers.get("x-remora-prediction-id") == key:
                        self.acknowledged[key] = number

    def _send(self, number: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}/remora", timeout=10) as client:
            for count in range(500):
                if self._stop.wait(0.01):
                    return
                keys = [f"api-{number}-{count}-{row}" for row in range(_ROWS)]
                self.sent.update(keys)
                rows = [{"model": "m", "id": key, "features": {"x": 0.5}, "prediction": True} for key in keys]
                if _taken(client, "/v1/predictions", rows):
                    self.acknowledged.update(dict.fromkeys(keys, number))
                labels = [{"model": "m", "id": key, "label": True} for key in keys[::4]]
                if _taken(client, "/v1/labels", labels):
                    self.labelled.update(keys[::4])


def _taken(client: httpx.Client, path: str, records: list[dict[str, object]]) -> bool:
    body = "\n".join(json.dumps(record) for record in records)
    with contextlib.suppress(httpx.HTTPError):
        return (
            client.post(path, content=body, headers={"content-type": "application/x-ndjson"}).status_code
            == 202
        )
    return False

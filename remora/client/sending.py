"""A bounded queue and the thread that empties it: a record that does not fit is dropped and counted."""

from __future__ import annotations

import atexit
import json
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from remora.client.encoding import new_id, plain
from remora.client.watching import Watched, watched

__all__ = ["Client"]

_F = TypeVar("_F", bound=Callable[..., Any])
_PREDICTIONS, _LABELS, _EXCHANGES = "/v1/predictions", "/v1/labels", "/v1/exchanges"
_BODY_BYTES = 2 << 20  # of one request: half of what a collector takes
_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 5.0
_REFUSALS = {400, 413, 415, 422}

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client:
    """A bounded queue and a background thread that empties it; safe in threads and after a fork.

    `url` is the API of a sidecar (`http://127.0.0.1:8000/remora`) or of a server; `socket` the path of a Unix socket
    instead of a TCP connection. `capacity` counts records, `capacity_bytes` their JSON. `sent`, `rejected` and `dropped`
    count records since the start of this process, `drops` the dropped ones by reason: `queue_full`, `not_json`, `closed`,
    `not_sent`.
    """

    def __init__(  # noqa: PLR0913  (all but three are for the rare case, and named)
        self,
        url: str = "http://127.0.0.1:8080",
        model: str = "",
        version: str = "",
        *,
        token: str | None = None,
        socket: str | None = None,
        capacity: int = 10_000,
        capacity_bytes: int = 16 << 20,
        batch: int = 500,
        interval: float = 0.2,
        timeout: float = 2.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.model = model
        self.version = version
        self._url = url.rstrip("/")
        self._headers = {"content-type": "application/x-ndjson"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._socket = socket
        self._transport = transport
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._batch = batch
        self._interval = interval
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, 0.5))
        self._reset()
        _clients.add(self)

    def _reset(self) -> None:
        """A new start, also in a forked child: what waits in the parent is the parent's to send."""
        self._queue: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._hurry = False
        self._sending = 0
        self.drops: Counter[str] = Counter()
        self.rejected = 0
        self.sent = 0

    @property
    def dropped(self) -> int:
        return self.drops.total()

    # --- what a model calls --------------------------------------------------------------------------------------------

    def log(  # noqa: PLR0913  (a record's fields, all named)
        self,
        *,
        features: Mapping[str, Any],
        prediction: Any = None,
        scores: Any = None,
        id: str | None = None,  # noqa: A002  (the API's word)
        timestamp: datetime | None = None,
        latency_ms: float | None = None,
        status: int = 200,
        tags: Mapping[str, str] | None = None,
        model: str | None = None,
        version: str | None = None,
    ) -> str:
        """Put a prediction into the queue and return its id, which its label will need."""
        key = id if id is not None else new_id()
        record = {
            "model": self.model if model is None else model,
            "version": self.version if version is None else version,
            "id": key,
            "features": features,
            "prediction": prediction,
            "scores": scores,
            "latency_ms": latency_ms,
            "status": status,
            "tags": tags,
        }
        self._put(_PREDICTIONS, record, timestamp)
        return key

    def label(
        self, id: str, label: Any, *, timestamp: datetime | None = None, model: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        """Say what turned out to be true for the prediction `id`."""
        record = {"model": self.model if model is None else model, "id": id, "label": label}
        self._put(_LABELS, record, timestamp)

    def watch(
        self,
        function: _F | None = None,
        *,
        features: Callable[..., Any] | None = None,
        prediction: Callable[[Any], Any] | None = None,
        scores: Callable[[Any], Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Any:
        """Decorate a predict function, sync or async: each call is logged with its latency, a raised error as status 500.

        `features` is called with the function's own arguments and gives a row (a mapping) or a list of them; without it
        rows are the one argument that is a mapping, a list, a data frame or an array, or all arguments by name.
        `prediction` and `scores` are called with what the function returned, and give a value or one per row. The ids of
        the newest call in this thread or task are in `remora.client.watching.ids()`, for the labels.
        """
        how = Watched(self, features, prediction, scores, dict(tags or {}))
        return watched(how, function) if function is not None else lambda found: watched(how, found)

    def exchange(self, record: dict[str, Any], started: datetime) -> None:
        """Put a request and its answer into the queue as they were on the wire; the collector reads them."""
        record = {"model": self.model, "version": self.version, **record, "started": started.isoformat()}
        self._put(_EXCHANGES, record, None)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything is sent; False when that takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            while self._queue or self._sending:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None:
                    return False
                self._changed.wait(left)
            self._hurry = False
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Send what waits, for at most `timeout` seconds, and end the thread; what is left is dropped and counted."""
        self.flush(timeout)
        with self._changed:
            self._closed = True
            self.drops["closed"] += len(self._queue)
            self._queue.clear()
            self._bytes = 0
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    # --- inside --------------------------------------------------------------------------------------------------------

    def _put(self, path: str, record: dict[str, Any], timestamp: datetime | None) -> None:
        """Whatever a caller hands in, the model goes on: a record that cannot be written as JSON is dropped."""
        try:
            if path != _EXCHANGES:
                instant = timestamp or datetime.now(UTC)
                record["timestamp"] = (instant if instant.tzinfo else instant.astimezone()).isoformat()
            line = json.dumps(record, default=plain, separators=(",", ":")).encode()
        except Exception:  # noqa: BLE001  (the promise of this class: nothing reaches the model)
            with self._changed:
                self.drops["not_json"] += 1
            return
        with self._changed:
            full = len(self._queue) >= self._capacity or self._bytes + len(line) > self._capacity_bytes
            if full or self._closed:
                self.drops["closed" if self._closed else "queue_full"] += 1
                return
            self._queue.append((path, line))
            self._bytes += len(line)
            self._start()
            if len(self._queue) == self._batch:
                self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="remora-client", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending
                self._thread = None

    def _run(self) -> None:
        transport = self._transport or httpx.HTTPTransport(uds=self._socket)
        with httpx.Client(
            transport=transport, headers=self._headers, timeout=self._timeout, trust_env=False
        ) as http:
            wait = 0.0
            while True:
                path, lines = self._take()
                if not lines:
                    return
                while not self._send(http, path, lines):
                    wait = min(_LONGEST_WAIT, max(_SHORTEST_WAIT, wait * 2))
                    if self._rest(wait):
                        self._done(lines, dropped="closed")
                        return
                wait = 0.0

    def _take(self) -> tuple[str, list[bytes]]:
        """The next records of one kind, once there are enough or the interval is over; none when closed."""
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            if not self._closed and not self._hurry and len(self._queue) < self._batch:
                self._changed.wait(self._interval)
            if not self._queue:
                return "", []
            path = self._queue[0][0]
            lines: list[bytes] = []
            size = 0
            while self._queue and self._queue[0][0] == path and len(lines) < self._batch:
                size += len(self._queue[0][1]) + 1
                if lines and size > _BODY_BYTES:
                    break
                line = self._queue.popleft()[1]
                self._bytes -= len(line)
                lines.append(line)
            self._sending = len(lines)
            return path, lines

    def _rest(self, seconds: float) -> bool:
        """Wait before another try; True when the client was closed meanwhile."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._closed and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._closed

    def _send(self, http: httpx.Client, path: str, lines: list[bytes]) -> bool:
        """One request; False when it should be tried again."""
        try:
            answer = http.post(self._url + path, content=b"\n".join(lines))
        except httpx.HTTPError:
            return False
        except Exception:  # noqa: BLE001  (a broken URL, say: trying again will not help, and nobody may notice)
            self._done(lines, dropped="not_sent")
            return True
        if not answer.is_success and answer.status_code not in _REFUSALS:
            return False
        rejected = _rejected(answer, len(lines))
        self._done(lines, sent=len(lines) - rejected, rejected=rejected)
        return True

    def _done(self, lines: list[bytes], *, sent: int = 0, rejected: int = 0, dropped: str = "") -> None:
        with self._changed:
            self._sending -= len(lines)
            self.sent += sent
            self.rejected += rejected
            if dropped:
                self.drops[dropped] += len(lines)
            self._changed.notify_all()


def _rejected(answer: httpx.Response, count: int) -> int:
    """How many records of a request were refused."""
    if not answer.is_success:
        return count
    try:
        return len(answer.json()["rejected"])
    except (ValueError, KeyError, TypeError):
        return 0


def _after_fork() -> None:
    for client in list(_clients):
        client._reset()  # noqa: SLF001


def _at_exit() -> None:
    for client in list(_clients):
        client.close(2.0)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)

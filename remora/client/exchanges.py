"""What a middleware keeps of one request: a bounded copy of both bodies, and when what happened."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from remora.client.encoding import new_id

if TYPE_CHECKING:
    from remora.client.sending import Client

__all__ = ["HEADER", "Flight", "Options"]

HEADER: Final = "x-remora-prediction-id"
_ID_HEADERS: Final = ("x-amzn-sagemaker-inference-id", "ce-id", "x-request-id")  # as the collector reads them
_KEPT: Final = {"content-type", "content-encoding", "inference-header-content-length"}
_USABLE = re.compile(r"[ -~]{1,128}")
_GONE, _FAILED = 499, 500


class Options:
    """Which requests are copied, and how: the same for ASGI and WSGI.

    `paths`: `/predict` means that path and what lies below it; none means every path. Only POST is copied. `max_body` are
    the bytes kept of a request or an answer.
    """

    def __init__(
        self,
        client: Client,
        paths: Iterable[str] = (),
        *,
        id_header: str | None = None,
        answer_id: bool = True,
        max_body: int = 262_144,
    ) -> None:
        self.client = client
        self.paths = tuple(path.rstrip("/") for path in paths)
        self.id_headers = ((id_header.lower(),) if id_header else ()) + _ID_HEADERS
        self.answer_id = answer_id
        self.max_body = max_body

    def wants(self, method: str, path: str) -> bool:
        """Whether a request is copied."""
        if method != "POST":
            return False
        return not self.paths or any(path == one or path.startswith(f"{one}/") for one in self.paths)


class _Side:
    def __init__(self, limit: int) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.cut = False
        self._limit = limit

    def keep(self, data: bytes) -> None:
        room = self._limit - len(self.body)
        self.body += data[:room]
        self.cut = self.cut or len(data) > room

    def record(self) -> dict[str, Any]:
        return {"headers": self.headers, "body": base64.b64encode(self.body).decode(), "cut": self.cut}


class Flight:
    """One request on its way; `done` hands it to the client, once."""

    def __init__(self, options: Options, path: str, headers: Mapping[str, str]) -> None:
        self._options = options
        self._path = path
        self._began = time.perf_counter()
        self._started = datetime.now(UTC)
        self.request = _Side(options.max_body)
        self.request.headers = {name: value for name, value in headers.items() if name in _KEPT}
        self.answer = _Side(options.max_body)
        given = (headers.get(name, "").strip() for name in options.id_headers)
        self.id = next((value for value in given if _USABLE.fullmatch(value)), "") or new_id()
        self.request_whole = False
        self.status = 0
        self._over = False

    def begin_answer(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """The answer's status and headers."""
        self.status = status
        self.answer.headers = {name.lower(): value for name, value in headers if name.lower() in _KEPT}

    def done(self, *, whole: bool) -> None:
        """`whole` is False when the answer broke off: by an error of the model, or because the caller left."""
        if self._over:
            return
        self._over = True
        self.request.cut = self.request.cut or not self.request_whole
        record = {
            "id": self.id,
            "path": self._path,
            "latency_ms": (time.perf_counter() - self._began) * 1000,
            "status": self.status if whole and self.status else _FAILED,
            "request": self.request.record(),
            "answer": self.answer.record() if whole and self.status else None,
        }
        self._options.client.exchange(record, self._started)

    def left(self) -> None:
        """The caller did not wait for the answer."""
        if not self._over:
            self.status = _GONE
            self.answer.cut = True
            self.done(whole=True)

"""Send the hours of a replay: over connections that stay open, patient while the other side restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Protocol

import httpx

__all__ = ["Options", "Progress", "ReplayError", "send"]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class ReplayError(Exception):
    """The other side stayed away for too long, or refuses what is sent."""


class _Request(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def body(self) -> Any: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def rows(self) -> int: ...


class _Hour(Protocol):
    @property
    def start(self) -> datetime: ...
    @property
    def requests(self) -> list[Any]: ...
    @property
    def labels(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Options:
    """Where and how to send. ``speed`` is simulated seconds per second, None is as fast as possible.

    ``patience`` is how many seconds one request is tried again while no connection can be had; ``record`` is a file to
    which ``<request id>TAB<rows>`` is appended for each request answered with success (no rows for a single object).
    """

    predict_url: str
    labels_url: str | None
    speed: float | None = None
    patience: float = 60.0
    timeout: float = 30.0
    record: Path | None = None


@dataclass
class Progress:
    """What has been sent so far; ``simulated`` is the start of the last hour that was sent."""

    simulated: datetime
    requests: int = 0
    requests_failed: int = 0
    rows_ok: int = 0
    rows_failed: int = 0
    labels: int = 0
    labels_rejected: int = 0
    retries: int = 0


OnProgress = Callable[[Progress], None]
OnDayEnd = Callable[[date], Awaitable[None]]


async def send(
    hours: Iterable[_Hour],
    options: Options,
    *,
    progress: OnProgress | None = None,
    on_day_end: OnDayEnd | None = None,
    client: httpx.AsyncClient | None = None,
) -> Progress:
    """Send every hour in order and return the totals.

    ``progress`` gets a copy after each hour; ``on_day_end`` is awaited after each UTC day, when all its requests are
    answered and all labels known by its end are delivered. ``client`` replaces the connections. An answer other than 200 is counted and not repeated.
    """
    state = _Sender(options)
    with ExitStack() as files:
        if options.record:
            state.record = files.enter_context(options.record.open("a", encoding="utf-8"))
        async with client or httpx.AsyncClient(timeout=options.timeout, trust_env=False) as state.client:
            await _run(state, hours, progress, on_day_end)
    return replace(state.done)


async def _run(
    state: _Sender, hours: Iterable[_Hour], progress: OnProgress | None, day_end: OnDayEnd | None
) -> None:
    last: _Hour | None = None
    for hour in hours:
        if last is not None and day_end and hour.start.date() != last.start.date():
            await state.flush()
            await day_end(last.start.date())
        await state.pace()
        await state.hour(hour)
        if progress:
            progress(replace(state.done))
        last = hour
    await state.flush()
    if last is not None and day_end:
        await day_end(last.start.date())


class _Sender:
    client: httpx.AsyncClient

    def __init__(self, options: Options) -> None:
        self.options = options
        self.done = Progress(datetime.min.replace(tzinfo=UTC))
        self.record: IO[str] | None = None
        self._labels: list[dict[str, Any]] = []
        self._due = 0.0

    async def pace(self) -> None:
        if self.options.speed:
            now = asyncio.get_running_loop().time()
            self._due = max(self._due, now)
            await asyncio.sleep(self._due - now)
            self._due += 3600 / self.options.speed

    async def hour(self, hour: _Hour) -> None:
        """This hour's requests at once, while the labels of the hour before are on their way."""
        await asyncio.gather(self.flush(), *map(self._ask, hour.requests))
        self._labels = hour.labels
        self.done.simulated = hour.start
        if self.record:
            self.record.flush()

    async def _ask(self, request: _Request) -> None:
        content = json.dumps(request.body).encode()
        answer = await self._post(self.options.predict_url, content, request.headers)
        ok = answer.status_code == 200
        self.done.requests += 1
        self.done.requests_failed += not ok
        self.done.rows_ok += request.rows * ok
        self.done.rows_failed += request.rows * (not ok)
        if ok and self.record:
            self.record.write(f"{request.id}\t{request.rows if isinstance(request.body, list) else ''}\n")

    async def flush(self) -> None:
        """Deliver the labels that wait; whoever takes them may be away or full for a while."""
        labels, self._labels = self._labels, []
        if not labels or not self.options.labels_url:
            return
        content = "".join(json.dumps(label) + "\n" for label in labels).encode()
        headers = {"content-type": "application/x-ndjson"}
        answer = await self._post(self.options.labels_url, content, headers, again=lambda code: code >= 429)
        if answer.status_code != 202:
            raise ReplayError(f"{self.options.labels_url} answered {answer.status_code}: {answer.text[:200]}")
        told = answer.json()
        self.done.labels += int(told["accepted"])
        self.done.labels_rejected += len(told.get("rejected", []))

    async def _post(
        self,
        url: str,
        content: bytes,
        headers: dict[str, str],
        again: Callable[[int], bool] = lambda _: False,
    ) -> httpx.Response:
        """POST, and again with the same headers and id while there is no connection or ``again`` says so."""
        clock = asyncio.get_running_loop().time
        give_up, pause = clock() + self.options.patience, FIRST_PAUSE
        while True:
            try:
                answer = await self.client.post(url, content=content, headers=headers)
                if not again(answer.status_code):
                    return answer
                why = f"it answers {answer.status_code}"
            except httpx.TransportError as error:
                why = str(error) or type(error).__name__
            if clock() > give_up:
                raise ReplayError(f"{url} was not to be had for {self.options.patience:.0f} s: {why}")
            self.done.retries += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

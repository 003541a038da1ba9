"""Requests and answers as a middleware in the model's process copied them: `POST /v1/exchanges`."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from collector.bodies import Limits
from collector.capture import Captures
from collector.errors import UnreadableError
from collector.formats import Message
from collector.observed import Observed
from collector.parsing import Parsed, parse_items
from collector.wire import unpacked
from remora.records import MAX_LATENCY_MS, MAX_NAME, Prediction

__all__ = ["ExchangeIn", "parse_exchanges"]

_FAILED = 400


class SideIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request or an answer: the headers that say how to read it, and the body in base64, which may be cut off."""

    headers: dict[str, str] = {}
    body: bytes = b""
    cut: bool = False


class ExchangeIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request of a model and its answer; None where there was none to be kept."""

    model: str
    request: SideIn
    answer: SideIn | None = None
    version: str = ""
    id: str = ""
    started: datetime | None = None
    latency_ms: float | None = None
    status: int = 200
    path: str = ""
    tags: dict[str, str] = {}


_decode = msgspec.json.Decoder(ExchangeIn).decode


def parse_exchanges(body: bytes, *, lines: bool, now: datetime, limits: Limits, captures: Captures) -> Parsed:
    """One exchange, an array of them, or one per line; each becomes a record per row. Raises BodyError."""

    def settle(item: bytes | msgspec.Raw) -> list[Prediction] | str:
        exchange = _decode(item)
        problem = _problem(exchange)
        if problem:
            return problem
        return captures.of(exchange.model, exchange.version).rows(_observed(exchange, now))

    return parse_items(body, settle, lines=lines, limits=limits)


def _problem(exchange: ExchangeIn) -> str | None:
    """What is wrong with an exchange; what is wrong with its contents costs the contents alone."""
    for name, value in (("model", exchange.model), ("version", exchange.version)):
        if len(value) > MAX_NAME or not value.isprintable() or (name == "model" and not value):
            return f"`{name}` is empty, unprintable or over {MAX_NAME} characters"
    if exchange.started is not None and exchange.started.tzinfo is None:
        return "`started` has no time zone: write 2013-03-01T10:00:00Z"
    if exchange.started is not None and not 1900 < exchange.started.year < 2200:
        return "`started` lies outside the years 1901 to 2199"
    if not 100 <= exchange.status <= 599:
        return "`status` must be an HTTP status from 100 to 599"
    if exchange.latency_ms is not None and not 0 <= exchange.latency_ms <= MAX_LATENCY_MS:
        return "`latency_ms` must be a number from 0 to 1e9"
    return None


def _observed(exchange: ExchangeIn, now: datetime) -> Observed:
    request, request_problem = _side(exchange.request, "request", exchange.path)
    answer, answer_problem = None, ""
    if exchange.answer is not None and exchange.status < _FAILED:
        answer, answer_problem = _side(exchange.answer, "answer")
    return Observed(
        id=exchange.id,
        started=(exchange.started or now).astimezone(UTC),
        latency_ms=exchange.latency_ms,
        status=exchange.status,
        request=request,
        request_problem=request_problem,
        answer=answer,
        answer_problem=answer_problem,
        tags=exchange.tags,
    )


def _side(side: SideIn, name: str, path: str = "") -> tuple[Message | None, str]:
    headers = {key.lower(): value for key, value in side.headers.items()}
    if side.cut:
        return Message(headers, b"", path), f"{name}_cut"
    try:
        return Message(headers, unpacked(side.body, headers, name), path), ""
    except UnreadableError as error:
        return Message(headers, b"", path), error.reason

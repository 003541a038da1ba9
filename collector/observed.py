"""One request to a model and what came of it, however it was seen: by the proxy, a middleware, an event, a file."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from collector import exchange as exchanges
from collector import metrics
from collector.errors import UnreadableError
from collector.exchange import Exchange
from collector.formats.base import Message
from collector.wire import read_answer, read_request
from remora.records import new_id

__all__ = ["ATTEMPT", "Observed", "observe", "status_of"]

ATTEMPT = "remora.attempt"  # the id that the caller gave an attempt that got no whole answer
_FAILED = 400
_UNANSWERED = {exchanges.CLIENT_GONE, exchanges.UPSTREAM_GONE, exchanges.TIMEOUT}
_STATUS = {
    exchanges.CLIENT_GONE: 499,
    exchanges.UPSTREAM_GONE: 502,
    exchanges.TIMEOUT: 504,
    exchanges.REFUSED: 400,
}


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What a capture reads records out of.

    `id` names the request; with `id_settled` False an id in the bodies goes before it. A side that is None could not be
    read, for the reason beside it, or (the answer, without a reason) is not there: a failure, or a loss that nobody saw.
    `latency_ms` is None where nobody measured it.
    """

    id: str
    id_settled: bool = True
    started: datetime
    latency_ms: float | None
    status: int
    request: Message | None
    request_problem: str = ""
    answer: Message | None
    answer_problem: str = ""
    tags: dict[str, str] = {}


def observe(exchange: Exchange, *, trust_timestamp: bool = False) -> Observed:
    """What the forwarder saw. `trust_timestamp` believes the request's header `x-remora-timestamp`."""
    identity, tags = _named(exchange)
    status = status_of(exchange)
    started = datetime.fromtimestamp(exchange.started, UTC)
    request, request_problem = _request(exchange)
    answer, answer_problem = _answer(exchange) if status < _FAILED else (None, "")
    return Observed(
        id=identity,
        started=_event_time(request, started) if request and trust_timestamp else started,
        latency_ms=max(0.0, exchange.latency_ms),
        status=status,
        request=request,
        request_problem=request_problem,
        answer=answer,
        answer_problem=answer_problem,
        tags=tags,
    )


def _request(exchange: Exchange) -> tuple[Message | None, str]:
    """A request that was cut still has its head, which may say when it was."""
    try:
        request = read_request(exchange.request)
    except UnreadableError as error:
        return None, error.reason
    return request, "request_cut" if exchange.request_cut else ""


def _answer(exchange: Exchange) -> tuple[Message | None, str]:
    if exchange.response_cut:
        return None, "answer_cut"
    try:
        return read_answer(exchange.response), ""
    except UnreadableError as error:
        return None, error.reason


def _event_time(request: Message, started: datetime) -> datetime:
    """The header `x-remora-timestamp` where it is right, else when the request arrived."""
    text = request.headers.get("x-remora-timestamp")
    if text is None:
        return started
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        told = None
    if told is None or told.tzinfo is None or not 1901 < told.year < 2199:
        metrics.CAPTURE_UNREADABLE.labels("timestamp").inc()
        return started
    return told.astimezone(UTC)


def _named(exchange: Exchange) -> tuple[str, dict[str, str]]:
    """An attempt without a whole answer gets an id of its own: the caller's stays free for the attempt that succeeds.

    Callers try again under the same id; the first, failed attempt must not make the answered one a repetition.
    """
    if exchange.outcome not in _UNANSWERED:
        return exchange.id, {}
    return new_id(), {ATTEMPT: exchange.id}


def status_of(exchange: Exchange) -> int:
    """The status that the client saw; where the model left before its answer was whole, the one that says so."""
    broken = exchange.outcome in {exchanges.UPSTREAM_GONE, exchanges.TIMEOUT} and exchange.status < _FAILED
    if 100 <= exchange.status <= 599 and not broken:
        return exchange.status
    return _STATUS.get(exchange.outcome, 502)

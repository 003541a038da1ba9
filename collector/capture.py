"""From a captured exchange to prediction records. Every exchange gives at least one: traffic counts stay true.

What cannot be read is recorded with its id, time, latency and status and without features, tagged
`remora.unread: <reason>` and counted by reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from collector import exchange as exchanges
from collector import metrics
from collector.errors import UnreadableError
from collector.exchange import Exchange
from collector.formats import FORMATS, Mapping, Message, Row
from collector.tidy import tidy_features, tidy_prediction, tidy_scores, tidy_version
from collector.wire import read_answer, read_request
from remora.records import Prediction, check_prediction, new_id

__all__ = ["ATTEMPT", "UNREAD", "Capture", "status_of"]

UNREAD = "remora.unread"
ATTEMPT = "remora.attempt"  # the id that the caller gave an attempt that got no whole answer
_FAILED = 400
_UNANSWERED = {exchanges.CLIENT_GONE, exchanges.UPSTREAM_GONE, exchanges.TIMEOUT}
_STATUS = {
    exchanges.CLIENT_GONE: 499,
    exchanges.UPSTREAM_GONE: 502,
    exchanges.TIMEOUT: 504,
    exchanges.REFUSED: 400,
}


@dataclass(frozen=True)
class Capture:
    """How the traffic of one model is read."""

    model: str
    version: str = ""
    mapping: Mapping = field(default_factory=Mapping)
    trust_timestamp: bool = False

    def rows(self, exchange: Exchange) -> list[Prediction]:
        """The records of an exchange, in the order of its rows."""
        exchange, tags = _named(exchange)
        status = status_of(exchange)
        started = datetime.fromtimestamp(exchange.started, UTC)
        try:
            request = read_request(exchange.request)
        except UnreadableError as error:
            return [self.unread(exchange, status, started, error.reason, tags)]
        started = self._event_time(request, started)
        try:
            rows, many, problem = self._read(exchange, request, status)
        except UnreadableError as error:
            return [self.unread(exchange, status, started, error.reason, tags)]
        if problem:
            metrics.CAPTURE_UNREADABLE.labels(problem).inc()
        template = self._blank(exchange, status, started, tags | ({UNREAD: problem} if problem else {}))
        found = [self._record(template, row, index if many else None) for index, row in enumerate(rows)]
        metrics.CAPTURED.inc(len(found))
        return found

    def _read(self, exchange: Exchange, request: Message, status: int) -> tuple[list[Row], bool, str]:
        """Rows, whether they came as a list, and why the answer could not be read. Raises UnreadableError."""
        if exchange.request_cut:
            raise UnreadableError("request_cut")
        known = next((candidate for candidate in FORMATS if candidate.accepts(request)), None)
        if known is None:
            raise UnreadableError("request_format")
        answer, problem = None, ""
        if status < _FAILED:
            try:
                answer = self._answer(exchange)
            except UnreadableError as error:
                problem = error.reason
        rows, many, reason = known.read(request, answer, self.mapping)
        if not rows:
            raise UnreadableError("request_without_rows")
        return rows, many, problem or reason

    def _answer(self, exchange: Exchange) -> Message:
        if exchange.response_cut:
            raise UnreadableError("answer_cut")
        return read_answer(exchange.response)

    def _event_time(self, request: Message, started: datetime) -> datetime:
        """The header `x-remora-timestamp` where it is trusted and right, else when the request arrived."""
        text = request.headers.get("x-remora-timestamp")
        if text is None or not self.trust_timestamp:
            return started
        try:
            told = datetime.fromisoformat(text.strip())
        except ValueError:
            told = None
        if told is None or told.tzinfo is None or not 1901 < told.year < 2199:
            metrics.CAPTURE_UNREADABLE.labels("timestamp").inc()
            return started
        return told.astimezone(UTC)

    def unread(
        self, exchange: Exchange, status: int, started: datetime, reason: str, tags: dict[str, str] | None = None,
    ) -> Prediction:  # fmt: skip
        """What is known of an exchange without its contents."""
        metrics.CAPTURE_UNREADABLE.labels(reason).inc()
        metrics.CAPTURED.inc()
        return _settled(self._blank(exchange, status, started, (tags or {}) | {UNREAD: reason}))

    def _blank(self, exchange: Exchange, status: int, started: datetime, tags: dict[str, str]) -> Prediction:
        return Prediction(
            model=self.model,
            id=exchange.id,
            timestamp=started,
            version=self.version,
            latency_ms=max(0.0, exchange.latency_ms),
            status=status,
            tags=tags,
        )

    def _record(self, template: Prediction, row: Row, index: int | None) -> Prediction:
        return _settled(
            Prediction(
                model=template.model,
                id=template.id if index is None else f"{template.id}-{index}",
                timestamp=template.timestamp,
                version=tidy_version(row.version, self.version),
                features=tidy_features(row.features),
                prediction=tidy_prediction(row.prediction),
                scores=tidy_scores(row.scores),
                latency_ms=template.latency_ms,
                status=template.status,
                tags=template.tags,
            )
        )


def _named(exchange: Exchange) -> tuple[Exchange, dict[str, str]]:
    """An attempt without a whole answer gets an id of its own: the caller's stays free for the attempt that succeeds.

    Callers try again under the same id; the first, failed attempt must not make the answered one a repetition.
    """
    if exchange.outcome not in _UNANSWERED:
        return exchange, {}
    return msgspec.structs.replace(exchange, id=new_id()), {ATTEMPT: exchange.id}


def status_of(exchange: Exchange) -> int:
    """The status that the client saw; where the model left before its answer was whole, the one that says so."""
    broken = exchange.outcome in {exchanges.UPSTREAM_GONE, exchanges.TIMEOUT} and exchange.status < _FAILED
    if 100 <= exchange.status <= 599 and not broken:
        return exchange.status
    return _STATUS.get(exchange.outcome, 502)


def _settled(record: Prediction) -> Prediction:
    """A record that passes `check_prediction` whatever was captured; an id that is too long is replaced."""
    if check_prediction(record) is None:
        return record
    metrics.CAPTURE_TRIMMED.inc()
    usable = msgspec.structs.replace(record, id=new_id())
    if check_prediction(usable) is None:
        return usable
    return Prediction(
        model=record.model, id=new_id(), timestamp=record.timestamp, version="", status=record.status,
        latency_ms=record.latency_ms, tags={UNREAD: "record_invalid"},
    )  # fmt: skip

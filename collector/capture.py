"""From an observed request to prediction records. Every one gives at least one: traffic counts stay true.

What cannot be read is recorded with its id, time, latency and status and without features, tagged
`remora.unread: <reason>` and counted by reason. Only what is no prediction at all (a model server's own management)
gives none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from collector import metrics
from collector.errors import UnreadableError
from collector.formats import Answered, Asked, Format, Mapping, Message, recognise
from collector.formats.answers import Answer, answer_of
from collector.identity import usable
from collector.observed import Observed
from collector.paths import is_control_path, model_of
from collector.tidy import tidy_features, tidy_prediction, tidy_ranking, tidy_scores, tidy_version, trimmed
from remora.config import Config
from remora.records import MAX_NAME, Prediction, check_prediction, new_id

__all__ = ["UNREAD", "Capture", "Captures"]

UNREAD = "remora.unread"


@dataclass(frozen=True)
class Capture:
    """How the traffic of one model is read. `named` gives the capture of another model that a path names."""

    model: str
    version: str = ""
    mapping: Mapping = field(default_factory=Mapping)
    trust_timestamp: bool = False
    format: str | None = None
    named: Callable[[str], Capture | None] = lambda _: None

    def rows(self, seen: Observed) -> list[Prediction]:
        """The records of a request, in the order of its rows; none for a path where nothing is predicted."""
        path = seen.request.path if seen.request else ""
        if is_control_path(path):
            metrics.CAPTURE_CONTROL.inc()
            return []
        model = model_of(path)
        capture = self.named(model) if model and model != self.model else None
        return (capture or self)._rows(seen)  # noqa: SLF001  (its own class)

    def _rows(self, seen: Observed) -> list[Prediction]:
        try:
            known, asked = self.ask(seen)
        except UnreadableError as error:
            return [self.unread(seen, error.reason)]
        answers, problem = self._answers(seen, known, asked)
        return self.records(seen, asked, answers, problem)

    def ask(self, seen: Observed) -> tuple[Format, Asked]:
        """The request's format, and its rows. Raises UnreadableError."""
        if seen.request is None or seen.request_problem:
            raise UnreadableError(seen.request_problem or "request_missing")
        known = recognise(seen.request, self.format, self.mapping)
        if known is None:
            raise UnreadableError("request_format")
        asked = known.asked(seen.request, self.mapping)
        if not asked.features:
            raise UnreadableError("request_without_rows")
        return known, asked

    def _answers(self, seen: Observed, known: Format, asked: Asked) -> tuple[Answered | None, str]:
        """The answers of all rows, or why there are none: no answer costs a request its features."""
        if seen.answer is None:
            return None, seen.answer_problem
        return self.answers(known, seen.answer, len(asked.features))

    def answers(self, known: Format, answer: Message, count: int) -> tuple[Answered | None, str]:
        """The answers to `count` rows, or why they cannot be read."""
        try:
            answered = known.answered(answer, count, self.mapping)
        except UnreadableError as error:
            return None, error.reason
        return (answered, "") if len(answered.answers) == count else (None, "answer_of_other_length")

    def records(
        self, seen: Observed, asked: Asked, answered: Answered | None, problem: str
    ) -> list[Prediction]:
        """One record per row."""
        if problem:
            metrics.CAPTURE_UNREADABLE.labels(problem).inc()
        identity = asked.id or (answered.id if answered else None)
        template = self._blank(seen, {UNREAD: problem} if problem else {}, identity)
        version = tidy_version(asked.version, self.version)
        found = [
            self._record(template, features, version, index if asked.many else None)
            for index, features in enumerate(asked.features)
        ]
        metrics.CAPTURED.inc(len(found))
        return found if answered is None else self.complete(found, answered)

    def complete(self, records: list[Prediction], answered: Answered) -> list[Prediction]:
        """The records of a request with what the answer says of each."""
        mapping = self.mapping
        if answered.classes and not mapping.classes:
            mapping = replace(mapping, classes=answered.classes)
        return [
            _with_answer(record, answer_of(answer, mapping, answered.version), ranked=mapping.ranked)
            for record, answer in zip(records, answered.answers, strict=True)
        ]

    def unread(self, seen: Observed, reason: str) -> Prediction:
        """What is known of a request without its contents."""
        metrics.CAPTURE_UNREADABLE.labels(reason).inc()
        metrics.CAPTURED.inc()
        return self._blank(seen, {UNREAD: reason}, None)

    def _blank(self, seen: Observed, tags: dict[str, str], body_id: str | None) -> Prediction:
        """The record without its contents, checked; an id that is too long is replaced."""
        if seen.latency_ms is not None:
            metrics.ANSWER_SECONDS.labels(self.model, f"{seen.status // 100}xx").observe(
                seen.latency_ms / 1000
            )
        identity = seen.id if seen.id_settled else usable(body_id) or seen.id
        record = Prediction(
            model=self.model,
            id=identity or new_id(),
            timestamp=seen.started,
            version=self.version,
            latency_ms=seen.latency_ms,
            status=seen.status,
            tags=seen.tags | tags,
        )
        if check_prediction(record) is None:
            return record
        trimmed("record")
        usable_record = msgspec.structs.replace(record, id=new_id())
        if check_prediction(usable_record) is None:
            return usable_record
        return Prediction(
            model=record.model, id=new_id(), timestamp=record.timestamp, status=record.status,
            latency_ms=record.latency_ms, tags={UNREAD: "record_invalid"},
        )  # fmt: skip

    def _record(
        self, template: Prediction, features: dict[str, Any], version: str, index: int | None
    ) -> Prediction:
        identity = template.id if index is None else f"{template.id}-{index}"
        if len(identity) > MAX_NAME:
            trimmed("id")
            identity = new_id()
        return Prediction(
            model=template.model,
            id=identity,
            timestamp=template.timestamp,
            version=version,
            features=tidy_features(features),
            latency_ms=template.latency_ms,
            status=template.status,
            tags=template.tags,
        )


def _with_answer(record: Prediction, answer: Answer, *, ranked: bool) -> Prediction:
    return Prediction(
        model=record.model,
        id=record.id,
        timestamp=record.timestamp,
        version=tidy_version(answer.version, record.version),
        features=record.features,
        prediction=tidy_ranking(answer.prediction) if ranked else tidy_prediction(answer.prediction),
        scores=tidy_scores(answer.scores),
        latency_ms=record.latency_ms,
        status=record.status,
        tags=record.tags,
    )


class Captures:
    """The capture of every model, as `models.<name>.capture` says; a model that is not configured has the defaults."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._made: dict[tuple[str, str], Capture] = {}

    def of(self, model: str, version: str = "") -> Capture:
        """How this model's traffic is read; `version` is the one to write down where answers name none."""
        found = self._made.get((model, version))
        if found is None:
            found = self._make(model, version)
            if model in self._config.models:  # names that callers make up must not fill the memory
                self._made[model, version] = found
        return found

    def named(self, model: str) -> Capture | None:
        """The capture of a model that remora.yaml names."""
        return self.of(model) if model in self._config.models else None

    def _make(self, model: str, version: str) -> Capture:
        settings = self._config.model(model).capture
        mapping = Mapping(
            rows=settings.rows,
            features=settings.features,
            answers=settings.answers,
            prediction=settings.prediction,
            scores=settings.scores,
            version=settings.version,
            columns=tuple(settings.columns),
            classes=tuple(settings.classes),
            ranked=self._config.model(model).kind == "ranking",
        )
        mapped = settings.rows or settings.answers or settings.features != "$"
        chosen = settings.format or (
            "plain_json" if mapped else None
        )  # paths into a body mean that very body
        return Capture(model, version, mapping, settings.trust_timestamp, chosen, self.named)

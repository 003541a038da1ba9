"""`models:` — how a model's traffic is read, what its windows are, and what it is compared with."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from remora.catalogue import is_own_name
from remora.config.base import Duration, Interval, Section, format_duration, parse_duration
from remora.config.privacy import Privacy

__all__ = ["Capture", "Drift", "Model", "Reports", "Table", "Windows"]


Format = Literal["open_inference", "tf_serving", "seldon", "mlflow", "sagemaker", "bentoml", "plain_json"]


class Capture(Section):
    """Where things stand in requests and answers. Paths are dotted, `$` is the row itself: `input.age`, `$`."""

    format: Format | None = Field(
        default=None, description="the wire format; without it, recognised by path and content"
    )
    paths: list[str] = Field(
        default=[], description="request paths that are predictions; empty means every POST"
    )
    rows: str | None = Field(
        default=None, description="where the list of rows is in a request, if not at the top"
    )
    features: str = Field(default="$", description="where the features are in a row")
    answers: str | None = Field(default=None, description="where the list of answers is, if not at the top")
    prediction: str | None = Field(
        default=None, description="where the predicted value is in an answer, if not under a usual name"
    )
    scores: str | None = Field(default=None, description="where the probability, or the object of them, is")
    version: str | None = Field(default=None, description="where the model's version is in an answer")
    columns: list[str] = Field(
        default=[], max_length=1000, description="names for the values of a row that is a list"
    )
    classes: list[str] = Field(
        default=[], max_length=1000, description="names for the probabilities of an answer that is a list"
    )
    ids: list[str] = Field(
        default=["body", "x-amzn-sagemaker-inference-id", "ce-id", "x-request-id"],
        max_length=16,
        description="where the prediction's id is looked for, in this order: request headers, and the body's own",
    )
    answer_id: bool = Field(default=True, description="add the header x-remora-prediction-id to answers")
    sample: float = Field(
        default=1.0, ge=0, le=1, description="share of the rows that are kept; summaries see all"
    )
    trust_timestamp: bool = Field(default=False, description="believe the request header x-remora-timestamp")
    max_body: int = Field(
        default=262_144, ge=1024, le=16_777_216, description="bytes kept of a request or answer"
    )

    @field_validator("ids")
    @classmethod
    def _named(cls, ids: list[str]) -> list[str]:
        for name in ids:
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                msg = f"{name!r} is neither the name of a header nor body"
                raise ValueError(msg)
        return ids

    @model_validator(mode="after")
    def _mapped(self) -> Self:
        if self.format not in {None, "plain_json"} and (self.rows or self.features != "$" or self.answers):
            msg = f"rows, features and answers are read in plain_json only, not in {self.format}: leave them out"
            raise ValueError(msg)
        return self


class Table(Section):
    """Which column of an imported table is what; without a word, the usual names are looked for."""

    id: str | None = Field(default=None, description="the column with the prediction's id")
    timestamp: str | None = Field(default=None, description="the column with the event time")
    prediction: str | None = Field(default=None, description="the column with the prediction")
    scores: str | None = Field(
        default=None, description="the column with the probability of the positive class"
    )
    latency_ms: str | None = Field(default=None, description="the column with the latency in milliseconds")
    status: str | None = Field(default=None, description="the column with the HTTP status")
    version: str | None = Field(default=None, description="the column with the model's version")
    label: str | None = Field(default=None, description="the column with what turned out to be true")
    features: list[str] | None = Field(
        default=None, max_length=1000, description="the columns with features; without it, all others"
    )
    tags: list[str] = Field(default=[], max_length=100, description="the columns that become tags")


class Windows(Section):
    """Which stretches of event time are judged, and when."""

    size: Duration = timedelta(days=1)
    lateness: Duration = timedelta(minutes=5)
    label_lateness: Duration = Field(
        default=timedelta(days=1), description="wait for labels before performance is judged"
    )
    revise_for: Duration = Field(
        default=timedelta(days=7), description="late rows and labels revise a window this long"
    )

    mature_after: Duration | None = Field(
        default=None,
        description="once a window is so old its labels are judged, whatever share of the predictions has one",
    )

    stale_after: Duration | None = Field(
        default=None, description="so long without a prediction at a window's end is an alarm"
    )

    backfill: Duration = Field(
        default=timedelta(days=400),
        description="windows that ended longer ago are not judged, whatever comes in",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        minute = timedelta(minutes=1)
        if self.size < minute or self.size % minute or timedelta(days=1) % min(self.size, timedelta(days=1)):
            msg = f"size {format_duration(self.size)} does not divide a day into whole minutes: write 5m, 15m, 1h, 6h or 1d"
            raise ValueError(msg)
        if self.size > timedelta(days=1) and self.size % timedelta(days=1):
            msg = f"size {format_duration(self.size)} is not a whole number of days"
            raise ValueError(msg)
        return self

    @property
    def decided_after(self) -> timedelta:
        """How long after its end a window has its first verdict on everything."""
        return max(self.lateness, self.label_lateness, self.mature_after or timedelta(0))

    def lateness_of(self, job: str) -> timedelta:
        """How long after its end a window of this job is judged."""
        return self.label_lateness if job == "performance" else self.lateness


Method = Literal[
    "psi", "ks", "wasserstein", "jensen_shannon", "hellinger", "total_variation", "chi_square", "missing_rate",
    "unseen_rate", "vanished_rate", "out_of_range_rate", "wrong_type_rate", "stuck_rate",
]  # fmt: skip


_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s+per\s+(\S+)")


class Drift(Section):
    """When a feature's distribution counts as moved."""

    methods: list[Method] = Field(
        default=["psi", "missing_rate", "unseen_rate"],
        min_length=1,
        description="what is found for every feature; each is a metric of the catalogue",
    )

    own: dict[str, dict[str, Any]] = Field(
        default={},
        description="detectors that are registered by an installed package, each with its parameters",
    )

    min_samples: int = Field(default=200, ge=10)
    bins: int = Field(default=10, ge=2, le=100)
    minimum_effect: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="no alarm for what is nearer than a shift of so many standard deviations",
    )
    false_alarms: str = Field(
        default="1 per 30d", description="how many false drift alarms the model may raise, over all features"
    )
    multivariate: list[Literal["domain_auc", "reconstruction_error", "duplicate_rate"]] = Field(
        default=[], description="what is found of all features together, from a sample of the kept rows"
    )
    lasting: Literal["cusum", "page_hinkley", "e_process", "off"] = Field(
        default="cusum", description="what finds a small change that lasts"
    )

    @field_validator("own")
    @classmethod
    def _own(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in value:
            if not is_own_name(name):
                msg = f"{name!r} cannot be the name of a detector of your own: small letters, digits and _, and no metric of Remora's"
                raise ValueError(msg)
        return value

    @field_validator("false_alarms")
    @classmethod
    def _budget(cls, value: str) -> str:
        match = _BUDGET.fullmatch(value.strip())
        if match is None or float(match[1]) <= 0 or parse_duration(match[2]) < timedelta(days=1):
            msg = f'{value!r} does not say how many false alarms in how many days: write "1 per 30d"'
            raise ValueError(msg)
        return value

    @property
    def budget(self) -> tuple[float, timedelta]:
        """(alarms, period)."""
        match = _BUDGET.fullmatch(self.false_alarms.strip())
        if match is None:
            raise AssertionError("the field's validator has seen it")
        return float(match[1]), parse_duration(match[2])


class Reports(Section):
    """Evidently reports, besides those of alarms and those that somebody asks for."""

    every: Interval | None = Field(
        default=None,
        description="a report of each such stretch of event time, once its labels had time to come",
    )


class Model(Section):
    """One served model."""

    kind: Literal["binary", "multiclass", "regression", "ranking"] = "binary"
    positive: str = Field(default="true", description="the class whose probability the score is")
    top: int = Field(default=10, ge=1, le=1000, description="how many places of a ranked list count")
    capture: Capture = Capture()
    privacy: Privacy = Privacy()
    table: Table = Table()
    windows: Windows = Windows()
    drift: Drift = Drift()
    reports: Reports = Reports()
    segments: list[str] = Field(
        default=[], max_length=8, description="tags or features to be watched value by value"
    )
    features: dict[str, Literal["numeric", "categorical"]] = {}
    ranges: dict[str, tuple[float | None, float | None]] = Field(
        default={}, description="lowest and highest value that a feature may have; null leaves a side open"
    )
    min_labelled: int = Field(
        default=100, ge=1, description="fewer labelled rows give no verdict on performance"
    )
    min_coverage: float = Field(default=0.5, ge=0, le=1, description="share of rows that must have a label")

    @field_validator("ranges")
    @classmethod
    def _ascending(
        cls, ranges: dict[str, tuple[float | None, float | None]]
    ) -> dict[str, tuple[float | None, float | None]]:
        for name, (low, high) in ranges.items():
            if (low is None and high is None) or (low is not None and high is not None and low > high):
                raise ValueError(
                    f"{name}: write the lowest and the highest value, such as [0, 120] or [0, null]"
                )
        return ranges

    @field_validator("segments")
    @classmethod
    def _of_two_at_most(cls, segments: list[str]) -> list[str]:
        for segment in segments:
            names = segment.split("*")
            if not all(names) or len(names) > 2 or len(set(names)) < len(names):
                raise ValueError(
                    f"{segment!r} is neither a tag or feature nor two of them, such as origin*carrier"
                )
        return segments

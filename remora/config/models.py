"""`models:` — how a model's traffic is read, what its windows are, and what it is compared with."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from remora.config.base import Duration, Section, format_duration

__all__ = ["Capture", "Drift", "Model", "Windows"]


class Capture(Section):
    """Where things stand in requests and answers. Paths are dotted, `$` is the row itself: `input.age`, `$`."""

    paths: list[str] = Field(
        default=[], description="request paths that are predictions; empty means every POST"
    )
    rows: str | None = Field(
        default=None, description="where the list of rows is in a request, if not at the top"
    )
    features: str = Field(default="$", description="where the features are in a row")
    answers: str | None = Field(default=None, description="where the list of answers is, if not at the top")
    prediction: str = Field(default="prediction", description="where the predicted value is in an answer")
    scores: str | None = Field(default=None, description="where the probability, or the object of them, is")
    version: str | None = Field(default=None, description="where the model's version is in an answer")
    id_header: str = Field(default="x-request-id", description="request header that names the prediction")
    trust_timestamp: bool = Field(default=False, description="believe the request header x-remora-timestamp")
    max_body: int = Field(
        default=262_144, ge=1024, le=16_777_216, description="bytes kept of a request or answer"
    )


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


class Drift(Section):
    """When a feature's distribution counts as moved."""

    min_samples: int = Field(default=200, ge=10)
    bins: int = Field(default=10, ge=2, le=100)
    minimum_effect: float = Field(default=0.1, gt=0, description="PSI below this is never an alarm")


class Model(Section):
    """One served model."""

    kind: Literal["binary", "multiclass", "regression"] = "binary"
    positive: str = Field(default="true", description="the class whose probability the score is")
    capture: Capture = Capture()
    windows: Windows = Windows()
    drift: Drift = Drift()
    segments: list[str] = Field(
        default=[], max_length=8, description="tags or features to be watched value by value"
    )
    features: dict[str, Literal["numeric", "categorical"]] = {}
    min_labelled: int = Field(
        default=100, ge=1, description="fewer labelled rows give no verdict on performance"
    )
    min_coverage: float = Field(default=0.5, ge=0, le=1, description="share of rows that must have a label")

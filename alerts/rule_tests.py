"""Tests of rules, as a file says them: series that are given, and the states that the alerts must go through.

The sibling of `promtool test rules`. Nothing is read but the file and the configuration, nothing is stored or told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.types import AwareDatetime

from alerts.finding import Finding
from alerts.queries import AlertRow, Window
from alerts.rehearsal import Found, Scene, rehearse
from remora.catalogue import JOBS, METRICS
from remora.config import Config
from remora.config.alerting import Rule
from remora.config.base import Interval, Name, Section

__all__ = ["Expected", "Failure", "RuleTest", "RuleTests", "Series", "failures"]

_VERDICTS = {"error": "could_not_compute", "few": "not_enough_data", "immature": "labels_not_mature"}
_STATES = ("inactive", "pending", "firing", "resolved")
_BY_WEIGHT = ("inactive", "resolved", "pending", "firing")
_TIMES = re.compile(r"(\S+?)x(\d{1,4})")
_MOST = 10_000
_START = datetime(2026, 1, 1, tzinfo=UTC)


def _repeated(text: str) -> list[str]:
    words: list[str] = []
    for word in text.split():
        match = _TIMES.fullmatch(word)
        words += [match[1]] * int(match[2]) if match else [word]
    if not 1 <= len(words) <= _MOST:
        msg = f"between one and {_MOST:,} windows, not {len(words):,}"
        raise ValueError(msg)
    return words


def _readable(text: str) -> str:
    for word in _repeated(text):
        if word != "_" and word not in _VERDICTS and _number(word.removesuffix("!")) is None:
            msg = f"{word!r}: write a number, 0.7! (its own verdict is alarm), _ (nothing found), error, few or immature, each also as 0.7x3"
            raise ValueError(msg)
    return text


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _states(text: str) -> str:
    for word in _repeated(text):
        if word not in _STATES:
            msg = f"{word!r} is no state: write {', '.join(_STATES)}, each also as firingx3"
            raise ValueError(msg)
    return text


class Series(Section):
    """What was found of a metric, a value for each window."""

    metric: str
    values: Annotated[str, BeforeValidator(_as_text), AfterValidator(_readable)]
    version: str = ""
    segment: str = ""
    feature: str = ""
    size: int = Field(default=1000, ge=0, description="rows in each window")
    coverage: float | None = Field(default=None, ge=0, le=1, description="share of them that have labels")
    threshold: float | None = Field(default=None, description="of the finding's own verdict")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.metric not in METRICS:
            msg = f"there is no metric `{self.metric}`"
            raise ValueError(msg)
        return self


class Expected(Section):
    """How one rule's alerts stand: through all windows, or as they are in one."""

    alert: str
    states: Annotated[str, AfterValidator(_states)] | None = None
    at: int | None = Field(default=None, ge=1, description="the window, counted from 1")
    state: str | None = Field(default=None, description="then: inactive, pending, firing or resolved")
    labels: dict[str, str] = Field(default={}, description="only of the alert that carries these")
    annotations: dict[str, str] = Field(default={}, description="texts that it must have then, whole")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.states is None) == (self.at is None):
            raise ValueError("say either `states` for all windows, or `at` and `state` for one")
        if self.at is not None and self.state not in _STATES:
            msg = f"`state` at window {self.at} is one of {', '.join(_STATES)}"
            raise ValueError(msg)
        if self.states is not None and (self.state is not None or self.annotations):
            raise ValueError("`state` and `annotations` belong to `at`")
        return self


class RuleTest(Section):
    name: str = Field(min_length=1)
    model: Name
    window: Interval | None = Field(
        default=None, description="unset: as the configuration says for the model"
    )
    start: AwareDatetime = _START
    series: list[Series] = Field(min_length=1)
    expect: list[Expected] = Field(min_length=1)


class RuleTests(Section):
    """The whole file."""

    config: str = Field(
        default="remora.yaml", description="the configuration with the rules, beside this file"
    )
    tests: list[RuleTest] = Field(min_length=1)


@dataclass(frozen=True)
class Failure:
    """An expectation that is not met; `lines` say what was expected and what was found."""

    alert: str
    lines: list[str]


def failures(config: Config, test: RuleTest) -> Iterator[Failure]:
    """Rehearse one test, and name every expectation that is not met."""
    scenes, windows = _scenes(config, test)
    known = {rule.alert for _, rule in config.rules}
    for expected in test.expect:
        if expected.alert not in known:
            yield Failure(
                expected.alert,
                [f"there is no rule of this name: {', '.join(sorted(known)) or 'none at all'}"],
            )
            continue
        found = _course(scenes, expected, _job_of(config, expected.alert), windows)
        if expected.states is not None:
            yield from _compare_course(expected, found)
        else:
            yield from _compare_window(expected, found, scenes, windows)


def _scenes(config: Config, test: RuleTest) -> tuple[list[Scene], list[tuple[datetime, datetime]]]:
    size = test.window or config.model(test.model).windows.size
    values = [(series, _repeated(series.values)) for series in test.series]
    windows = [
        (test.start + place * size, test.start + (place + 1) * size)
        for place in range(max(len(words) for _, words in values))
    ]
    found = [
        finding
        for series, words in values
        for (start, end), word in zip(windows, words, strict=False)
        if (finding := _finding(test.model, series, word, start, end)) is not None
    ]
    return list(rehearse(config, _judged(config, test.model, windows), _lookup(found))), windows


def _judged(config: Config, model: str, windows: Sequence[tuple[datetime, datetime]]) -> list[Window]:
    late = config.model(model).windows
    judged = [
        Window(job, model, start, end, end + late.lateness_of(job)) for start, end in windows for job in JOBS
    ]
    return sorted(judged, key=lambda window: (window.ts, JOBS.index(window.job)))


def _finding(model: str, series: Series, word: str, start: datetime, end: datetime) -> Finding | None:
    if word == "_":
        return None
    value = _number(word.removesuffix("!"))
    verdict = _VERDICTS.get(word, "alarm" if word.endswith("!") else "ok")
    return Finding(
        model=model, version=series.version, segment=series.segment, metric=series.metric, feature=series.feature,
        window_start=start, window_end=end, value=value, reference_value=None, threshold=series.threshold,
        size=series.size, coverage=series.coverage, verdict=verdict, reason="given by the test",
    )  # fmt: skip


def _lookup(found: Sequence[Finding]) -> Found:
    def in_window(window: Window, rules: Sequence[Rule]) -> Mapping[str, Sequence[Finding]]:
        size = window.end - window.start
        back = {rule.metric: timedelta(0) for rule in rules}
        for rule in rules:
            back[rule.metric] = max(back[rule.metric], rule.looks_back(size) * size)
        return {
            metric: [
                finding
                for finding in found
                if finding.metric == metric and window.end - length < finding.window_end <= window.end
            ]
            for metric, length in back.items()
        }

    return in_window


def _job_of(config: Config, alert: str) -> str:
    return next(METRICS[rule.metric].job for _, rule in config.rules if rule.alert == alert)


def _course(
    scenes: Sequence[Scene], expected: Expected, job: str, windows: Sequence[tuple[datetime, datetime]]
) -> list[str]:
    """The state after each window: of several alerts the one that is furthest."""
    by_start = {scene.window.start: scene for scene in scenes if scene.window.job == job}
    return [
        max(
            (row.state for row in _chosen(by_start.get(start), expected)),
            key=_BY_WEIGHT.index,
            default="inactive",
        )
        for start, _ in windows
    ]


def _chosen(scene: Scene | None, expected: Expected) -> list[AlertRow]:
    return [
        row
        for row in (scene.alerts if scene else ())
        if row.labels["alertname"] == expected.alert and expected.labels.items() <= row.labels.items()
    ]


def _compare_course(expected: Expected, found: Sequence[str]) -> Iterator[Failure]:
    wanted = _repeated(expected.states or "")
    if len(wanted) != len(found):
        yield Failure(
            expected.alert, [f"`states` has {len(wanted)} states, the series have {len(found)} windows"]
        )
    elif wanted != list(found):
        first = next(
            place for place, (want, got) in enumerate(zip(wanted, found, strict=True)) if want != got
        )
        yield Failure(
            expected.alert,
            [
                f"window {first + 1}: expected {wanted[first]}, is {found[first]}",
                f"expected  {' '.join(wanted)}",
                f"is        {' '.join(found)}",
            ],
        )


def _compare_window(
    expected: Expected,
    found: Sequence[str],
    scenes: Sequence[Scene],
    windows: Sequence[tuple[datetime, datetime]],
) -> Iterator[Failure]:
    place = (expected.at or 1) - 1
    if place >= len(found):
        yield Failure(expected.alert, [f"there is no window {expected.at}: the series have {len(found)}"])
        return
    if found[place] != expected.state:
        yield Failure(expected.alert, [f"window {expected.at}: expected {expected.state}, is {found[place]}"])
        return
    rows = [
        row for scene in scenes if scene.window.start == windows[place][0] for row in _chosen(scene, expected)
    ]
    for name, text in expected.annotations.items():
        if rows and rows[0].annotations.get(name) != text:
            is_now = rows[0].annotations.get(name)
            yield Failure(
                expected.alert, [f"window {expected.at}, {name}", f"expected  {text}", f"is        {is_now}"]
            )

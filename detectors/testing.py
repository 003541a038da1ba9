"""The contract of a detector, for tests of your own: what ours are held to, without a test framework.

    import pytest
    from detectors.testing import contract
    from my_package.tails import tail_share

    @pytest.mark.parametrize("check", contract(tail_share, parameters={"beyond": 3.0}), ids=str)
    def test_contract(check):
        check()

A check that fails raises AssertionError with a sentence that says what was asked and what came.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detectors.base import ALARM, OK, VERDICTS, ColumnReference, ColumnWindow, Result
from detectors.binning import categorical_bins, numeric_bins
from detectors.limits import unlearnt
from detectors.own import OwnDetector, kinds_of
from remora.summaries import CategoricalSummary, NumericSummary
from remora.summaries.profile import summarise

__all__ = ["LETTERS", "SHARES", "Check", "contract", "draw", "reference_of", "summary_of", "window_of"]

LETTERS = np.array(list("abcdefghij"))
SHARES = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.04, 0.03, 0.02, 0.01])
_ROWS, _MIN_SAMPLES, _MOST_WORDS = 5000, 200, 400

Values = Sequence[Any] | np.ndarray[Any, Any]
Shift = Callable[[str, Any, np.random.Generator], Values]


# --- columns to try it on ----------------------------------------------------------------------------------------------


def draw(kind: str, random: np.random.Generator, size: int) -> Any:
    """Standard normal numbers, shape (size,), or a list of ten letters of unequal frequency."""
    return random.normal(size=size) if kind == "numeric" else random.choice(LETTERS, size, p=SHARES).tolist()


def summary_of(values: Values) -> NumericSummary | CategoricalSummary:
    """A summary of numbers (NaN is missing) or of names (None is missing)."""
    if len(values) and isinstance(values[0], str | None):
        names = CategoricalSummary()
        names.update([value for value in values if value is not None], sum(value is None for value in values))
        return names
    numbers = NumericSummary()
    numbers.update(np.asarray(values, dtype=float))
    return numbers


def reference_of(values: Values) -> ColumnReference:
    """A reference of these values, with ten bins and the customary limits."""
    summary = summary_of(values)
    if isinstance(summary, CategoricalSummary):
        return ColumnReference("x", "categorical", summary, categorical_bins(summary.counts()), unlearnt())
    numbers = np.asarray(values, dtype=float)
    bins = numeric_bins(numbers[np.isfinite(numbers)], 10)
    return ColumnReference("x", "numeric", summary, bins, unlearnt())


def window_of(values: Values) -> ColumnWindow:
    """A window of values of one type, or of numbers and names."""
    if len({isinstance(value, str) for value in values if value is not None}) > 1:
        found = {part.kind: part for part in summarise(list(values), None)}
        return ColumnWindow(len(values), **found)  # type: ignore[arg-type]  # by kind
    summary = summary_of(values)
    if isinstance(summary, CategoricalSummary):
        return ColumnWindow(len(values), categorical=summary)
    return ColumnWindow(len(values), numeric=summary)


# --- the contract ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One thing that a detector promises: call it."""

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        self.run()

    def __str__(self) -> str:
        return self.name


def contract(
    detector: OwnDetector, *, parameters: Mapping[str, Any] | None = None, shifted: Shift | None = None,
    false_alarms: float = 0.01,
) -> list[Check]:  # fmt: skip
    """Every check for each kind of column that the detector is for.

    `shifted(kind, values, random)` gives the values with the change in them that it is there to find: without, finding
    one is not asked. In quiet windows it may alarm in a share of `false_alarms`.
    """
    tried = _Tried(detector, {"min_samples": _MIN_SAMPLES, **(parameters or {})})
    made = []
    for kind in kinds_of(detector):
        for name, check in _CHECKS.items():
            made.append(Check(f"{kind}: {name}", lambda check=check, kind=kind: check(tried, kind)))  # type: ignore[misc]
        made.append(
            Check(f"{kind}: quiet windows are quiet", lambda kind=kind: _quiet(tried, kind, false_alarms))  # type: ignore[misc]
        )
        if shifted is not None:
            made.append(Check(f"{kind}: a change is found", lambda kind=kind: _found(tried, kind, shifted)))  # type: ignore[misc]
    return made


@dataclass(frozen=True)
class _Tried:
    """The detector with its parameters; calling it looks at what came back."""

    detector: OwnDetector
    parameters: Mapping[str, Any]

    def __call__(self, reference: ColumnReference, window: ColumnWindow, what: str) -> Result:
        result = self.detector(reference, window, self.parameters)
        _ask(isinstance(result, Result), f"{what}: it gave {type(result).__name__}, not a Result")
        _ask(result.verdict in VERDICTS, f"{what}: {result.verdict!r} is no verdict")
        judged = result.verdict in {OK, ALARM}
        _ask(
            (result.value is not None) == judged,
            f"{what}: the verdict {result.verdict} with the value {result.value}",
        )
        _ask(
            result.reason.endswith(".") and len(result.reason) < _MOST_WORDS,
            f"{what}: the reason is no sentence of less than {_MOST_WORDS} characters: {result.reason!r}",
        )
        try:
            json.dumps(asdict(result), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{what}: the result cannot be stored as JSON: {error}") from None
        return result


def _ask(holds: bool, sentence: str) -> None:  # noqa: FBT001  (what assert takes)
    if not holds:
        raise AssertionError(sentence)


def _random() -> np.random.Generator:
    return np.random.default_rng(20130301)


def _identical(tried: _Tried, kind: str) -> None:
    values = draw(kind, _random(), _ROWS)
    found = tried(reference_of(values), window_of(values), "identical data")
    _ask(found.verdict == OK, f"identical data: {found.verdict}, {found.reason}")


def _order(tried: _Tried, kind: str) -> None:
    """In few rows: there sketches are exact."""
    random = _random()
    reference, values = reference_of(draw(kind, random, _ROWS)), list(draw(kind, random, _MIN_SAMPLES - 10))
    loose = _Tried(tried.detector, {**tried.parameters, "min_samples": 50})
    first = loose(reference, window_of(values), "rows in one order")
    other = loose(
        reference, window_of([values[at] for at in random.permutation(len(values))]), "in another order"
    )
    _ask(first == other, f"the order of the rows changed the result: {first} and {other}")


def _few(tried: _Tried, kind: str) -> None:
    random = _random()
    reference = reference_of(draw(kind, random, 1000))
    for count in (0, 1, 2):
        window = window_of(draw(kind, random, count)) if count else ColumnWindow(0)
        found = tried(reference, window, f"{count} rows")
        _ask(found.verdict != ALARM, f"{count} rows raised an alarm: {found.reason}")


def _nothing(tried: _Tried, kind: str) -> None:
    window = [None] * 500 if kind == "categorical" else np.full(500, np.nan)
    tried(
        reference_of(draw(kind, _random(), 1000)), window_of(window), "a window of nothing but missing values"
    )
    tried(
        reference_of(window),
        window_of(draw(kind, _random(), 1000)),
        "a reference of nothing but missing values",
    )


def _constant(tried: _Tried, kind: str) -> None:
    constant = ["a"] * 500 if kind == "categorical" else np.full(500, 3.0)
    found = tried(reference_of(constant), window_of(constant), "a constant that stayed")
    _ask(found.verdict != ALARM, f"a constant that stayed raised an alarm: {found.reason}")
    tried(reference_of(draw(kind, _random(), 1000)), window_of(constant), "a constant window")


def _wild(tried: _Tried, kind: str) -> None:
    """Infinite and huge numbers, or very many categories."""
    usual = reference_of(draw(kind, _random(), 1000))
    if kind == "numeric":
        wild: Values = np.array([np.inf, -np.inf, np.nan, 1e308, -1e308, float(2**63), 5e-324] * 100)
    else:
        wild = [f"id{number}" for number in range(100_000)]
    tried(usual, window_of(wild), "wild values")
    tried(reference_of(wild), window_of(wild), "a reference of wild values")


def _secret(tried: _Tried, kind: str) -> None:
    """Reasons go into messages: they hold no value of a feature."""
    secret: Any = "SECRETNAME" if kind == "categorical" else 987654321.125
    found = tried(reference_of(draw(kind, _random(), 1000)), window_of([secret] * 1000), "a value")
    said = found.reason + json.dumps(dict(found.details))
    _ask(
        "SECRET" not in said and "987654321" not in said,
        f"a value of the feature stands in the result: {said}",
    )


def _quiet(tried: _Tried, kind: str, rate: float) -> None:
    """The share of alarms, with as much more as 200 windows may give by chance."""
    random, windows = _random(), 200
    reference = reference_of(draw(kind, random, 20_000))
    alarms = sum(
        tried(reference, window_of(draw(kind, random, 1000)), "a quiet window").verdict == ALARM
        for _ in range(windows)
    )
    most = windows * rate + 3 * (windows * rate) ** 0.5
    _ask(alarms <= most, f"{alarms} of {windows} quiet windows raised an alarm; {rate:g} of them may")


def _found(tried: _Tried, kind: str, shifted: Shift) -> None:
    random = _random()
    reference, values = reference_of(draw(kind, random, _ROWS)), draw(kind, random, 1000)
    found = tried(reference, window_of(shifted(kind, values, random)), "a change")
    _ask(found.verdict == ALARM, f"the change was not found: {found.verdict}, {found.reason}")


_CHECKS: dict[str, Callable[[_Tried, str], None]] = {
    "identical data raises no alarm": _identical,
    "the order of rows changes nothing": _order,
    "few rows have a named outcome": _few,
    "missing values have a named outcome": _nothing,
    "constants have a named outcome": _constant,
    "wild values have a named outcome": _wild,
    "no reason holds a value": _secret,
}

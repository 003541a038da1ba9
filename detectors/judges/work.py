"""What a job has to go by, and how a metric that fails is kept from costing the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from traceback import extract_tb
from typing import Any

from prometheus_client import Counter

from detectors.base import COULD_NOT_COMPUTE, Result, unknown
from detectors.baselines import Baseline
from detectors.history import History
from detectors.loading import Loaded
from detectors.windows import Window
from remora.config.models import Model
from remora.errors import UnavailableError
from remora.telemetry import REGISTRY, get_logger

__all__ = ["FAILURES", "MOVED", "Causes", "Found", "Key", "Rows", "Work", "attempt"]

log = get_logger("detectors")

FAILURES = Counter(
    "remora_metric_failures", "Metrics of windows that could not be computed", ["metric"], registry=REGISTRY
)

# Version, segment, metric and feature.
Key = tuple[str, str, str, str]

# A key's parts, and what was found.
Found = tuple[str, str, str, str, Result]

# A sample of the rows of the window, and of the reference of this id.
Rows = Callable[[str], tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]

# The features that likely moved the score, ranked, by version.
Causes = Mapping[str, Sequence[Mapping[str, Any]]]

MOVED = "psi"
"""The metric whose effect, in standard deviations, says how far a feature moved."""


@dataclass(frozen=True)
class Work:
    """The window's summaries and what they are compared with; what only some metrics ask for is read when they ask.

    `before` gives the `details` that these metrics had in the window before, `causes` what was found when this window's
    drift was judged, long before its labels came.
    """

    loaded: Loaded
    model: Model
    window: Window
    now: datetime
    find: Callable[[str], Baseline | None]
    rows: Rows
    history: Callable[[], History]
    before: Callable[[Sequence[str]], Mapping[Key, Mapping[str, Any]]]
    causes: Callable[[], Causes]

    def baseline(self, version: str) -> Baseline | None:
        """What a version is compared with; all versions together, as '', with what serves most of the rows.

        A retrained model scores otherwise than the one before it, and that is no drift.
        """
        return self.find(version or self.serving) or self.find(version)

    @cached_property
    def serving(self) -> str:
        """The version that answered most of the window's rows, or ''."""
        answered = {
            version: part.answered
            for (version, segment), part in self.loaded.slices.items()
            if version and not segment
        }
        most = max(answered, key=lambda version: answered[version], default="")
        return most if most and 2 * answered[most] > sum(answered.values()) else ""

    @cached_property
    def families(self) -> int:
        """How many slices share the budget: one version alone is the same rows as all together."""
        versions = len({version for version, _ in self.loaded.slices if version})
        segments = len({segment for _, segment in self.loaded.slices})
        return max(1, segments) * (1 if versions < 2 else versions + 1)


def attempt(compute: Callable[[], dict[str, Result]], metrics: tuple[str, ...]) -> dict[str, Result]:
    """The results, or for each metric a word that it failed: one metric must not cost the window."""
    try:
        return compute()
    except UnavailableError:
        raise
    except Exception as error:  # noqa: BLE001  (the metric's edge: logged, counted and shown)
        frame = extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        # The error's own text may hold a value of a feature, so it is not logged.
        log.error("metric_failed", metrics=metrics, error=type(error).__name__, where=where)  # noqa: TRY400
        for metric in metrics:
            FAILURES.labels(metric).inc()
        reason = f"Computing it failed with {type(error).__name__}; the server's log says where."
        return dict.fromkeys(metrics, unknown(COULD_NOT_COMPUTE, reason))

"""Traffic: how much there was, how slow, how many errors, and what capture itself lost."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.base import Result
from detectors.judges.work import Found, Work, attempt
from detectors.loading import Slice
from detectors.methods import traffic, volume
from remora.catalogue import METRICS
from remora.summaries import LatencySummary, TrafficSummary
from remora.summaries.profile import LATENCY, LOST, TRAFFIC

__all__ = ["judge"]

# Judged of the model as a whole, not by version and segment.
_OF_ALL = {"capture_lost", "personal_data", volume.VOLUME, volume.STALENESS}
_OF_EACH = tuple(name for name, metric in METRICS.items() if metric.job == "traffic" and name not in _OF_ALL)


def judge(work: Work) -> Iterator[Found]:
    """Every metric of traffic, by version and segment and of all together."""
    for (version, segment), part in work.loaded.slices.items():

        def compute(part: Slice = part) -> dict[str, Result]:
            return traffic.judge(part.get(TRAFFIC, TrafficSummary), part.get(LATENCY, LatencySummary))

        for metric, result in attempt(compute, _OF_EACH).items():
            yield version, segment, metric, "", result
    whole = work.loaded.slices["", ""]
    for metric, result in {**_beside(whole, work), **_losses(whole)}.items():
        yield "", "", metric, "", result
    for feature, result in traffic.judge_personal(work.loaded.personal).items():
        yield "", "", "personal_data", feature, result


def _beside(whole: Slice, work: Work) -> dict[str, Result]:
    """Against the windows before."""

    def compute() -> dict[str, Result]:
        seen, history = whole.get(TRAFFIC, TrafficSummary), work.history()
        stale_after = work.model.windows.stale_after
        return {
            volume.VOLUME: volume.judge_volume(seen.count if seen is not None else 0, history.counts),
            volume.STALENESS: volume.judge_staleness(work.window.end, history.last, stale_after),
        }

    return attempt(compute, (volume.VOLUME, volume.STALENESS))


def _losses(whole: Slice) -> dict[str, Result]:
    def compute() -> dict[str, Result]:
        return traffic.judge_losses(whole.get(TRAFFIC, TrafficSummary), whole.get(LOST, TrafficSummary))

    return attempt(compute, ("capture_lost",))

"""What each job finds in a window: one file per job, and the list of them."""

from collections.abc import Callable, Iterator, Mapping

from detectors.judges import drift, performance, traffic
from detectors.judges.work import Found, Work

__all__ = ["JUDGES", "Found", "Work"]

JUDGES: Mapping[str, Callable[[Work], Iterator[Found]]] = {
    "traffic": traffic.judge,
    "drift": drift.judge,
    "performance": performance.judge,
}

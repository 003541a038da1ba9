"""Summaries that merge: everything Remora watches, in a few hundred bytes.

A summary is built from values, merges with another of its kind, and turns into bytes and back. Merging is
associative and commutative: counts exactly, sketches within their stated error. The bytes are a version and a
kind around Apache DataSketches' own serialised form.
"""

from remora.summaries.categorical import CategoricalSummary
from remora.summaries.codec import Summary, decode, encode, merge_encoded
from remora.summaries.latency import LatencySummary
from remora.summaries.numeric import NumericSummary
from remora.summaries.performance import PerformanceSummary
from remora.summaries.scores import ScoreSummary
from remora.summaries.traffic import TrafficSummary

__all__ = [
    "CategoricalSummary",
    "LatencySummary",
    "NumericSummary",
    "PerformanceSummary",
    "ScoreSummary",
    "Summary",
    "TrafficSummary",
    "decode",
    "encode",
    "merge_encoded",
]

"""The quick way gives what the careful one gives, or leaves the body to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import parsing
from collector.bodies import Limits
from collector.plain_lines import parse_plain_lines

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
GOOD = {"model": "m", "id": "a", "features": {"x": 1, "y": "ü", "z": None}, "scores": 0.5}
SCALARS = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5)
ODD = st.sampled_from(
    [
        "",
        "a" * 129,
        "$x",
        "tab\there",
        "nul\0",
        "x",
        7,
        None,
        -1.5,
        1e300,
        [],
        {},
        {"k": "v"},
        {"k": 2},
        ["a", 1],
        ["a", ""],
        ["a", 1.5],
    ]
)
ITEMS = st.fixed_dictionaries(
    {
        "model": st.just("m") | ODD,
        "id": st.just("i") | ODD,
        "features": st.dictionaries(st.text(max_size=3), SCALARS, max_size=4),
    },
    optional=dict.fromkeys(
        ("version", "timestamp", "prediction", "scores", "latency_ms", "status", "tags", "more"),
        SCALARS | ODD,
    ),
)


def careful(body: bytes) -> parsing.Parsed:
    def settle(item):
        record = parsing.prediction_of(
            parsing._lenient(item, parsing._decode_prediction, parsing.PredictionIn), NOON
        )
        return parsing.check_prediction(record) or [record]

    return parsing.parse_items(body, settle, lines=True, limits=Limits())


def lines(*items: object) -> bytes:
    return "\n".join(json.dumps(item) for item in items).encode()


@given(st.lists(ITEMS, min_size=1, max_size=3))
def test_takes_only_what_the_careful_way_takes(items):
    quick = parse_plain_lines(lines(*items), NOON, Limits())
    if quick is not None:
        found = careful(lines(*items))
        assert found.rejected == []
        blank = {"id": ""}  # made up anew where there is none
        for one, other, item in zip(quick, found.records, items, strict=True):
            more = blank if item["id"] is None else {}
            assert msgspec.structs.replace(one, **more) == msgspec.structs.replace(other, **more)


@pytest.mark.parametrize(
    "more",
    [
        {}, {"id": 7}, {"version": 3}, {"tags": {"region": "eu"}}, {"scores": {"a": 0.5}}, {"prediction": "yes"},
        {"timestamp": "2013-03-01T12:00:00+01:00"}, {"features": {f"f{n}": n * 0.5 for n in range(30)}},
    ],
)  # fmt: skip
def test_takes_what_is_usual(more):
    body = lines(GOOD | more, GOOD)
    assert parse_plain_lines(body, NOON, Limits()) == careful(body).records


@pytest.mark.parametrize(
    "more",
    [
        {"features": {"x": "a" * 5000}}, {"features": {"x": "nul\0"}}, {"features": {"$x": 1}}, {"features": {"": 1}},
        {"features": {"x": 2**63}}, {"features": {"x": [1]}}, {"timestamp": "2013-03-01T12:00:00"}, {"id": ""},
        {"model": "tab\t"}, {"unknown": 1}, {"status": 99}, {"latency_ms": -1}, {"prediction": 1e101}, {"scores": float("nan")},
        {"tags": {"": "x"}}, {"timestamp": "0001-01-01T00:00:00Z"}, {"features": {f"f{n}": 0 for n in range(1001)}},
    ],
)  # fmt: skip
def test_leaves_what_is_unusual(more):
    assert parse_plain_lines(lines(GOOD, GOOD | more), NOON, Limits()) is None


def test_leaves_two_objects_on_a_line_and_too_many_lines():
    twice = lines(GOOD) + lines(GOOD)
    assert parse_plain_lines(twice, NOON, Limits()) is None
    assert parse_plain_lines(lines(GOOD, GOOD, GOOD), NOON, Limits(records=2)) is None

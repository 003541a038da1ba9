"""What a record may hold, and the one sentence for what it may not."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.records import MAX_FEATURES, Label, Prediction, check_label, check_prediction, new_id

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def prediction(**fields):
    return Prediction(**({"model": "m", "id": "1", "timestamp": NOON} | fields))


def test_a_full_prediction_is_right():
    row = prediction(
        version="2", features={"a": 1, "b": None, "c": "x", "d": True, "e": 0.5}, prediction="yes",
        scores={"yes": 0.7, "no": 0.3}, latency_ms=12.5, status=500, tags={"region": "eu"},
    )  # fmt: skip
    assert check_prediction(row) is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": ""}, "`model` is empty"),
        ({"id": "x" * 129}, "129 characters"),
        ({"id": "a\nb"}, "cannot be printed"),
        ({"timestamp": NOON.replace(tzinfo=None)}, "no time zone"),
        ({"timestamp": NOON.replace(year=2500)}, "outside the years"),
        ({"features": {"": 1}}, "a name that is empty"),
        ({"features": {"$score": 1}}, "begins with $"),
        ({"features": {"a": [1]}}, "`features.a` is neither"),
        ({"prediction": ["a", ""]}, "`prediction` has an item that is empty"),
        ({"prediction": ["a", True]}, "`prediction` has an item that is true"),
        ({"prediction": [1 << 63]}, "beyond 64 bits"),
        ({"prediction": ["a"] * 1001}, "1001 items, at most 1000"),
        ({"features": {"a": "x\x00"}}, "NUL"),
        ({"features": {"a": "x" * 5000}}, "5000 characters"),
        ({"features": {str(i): i for i in range(MAX_FEATURES + 1)}}, "1001 entries"),
        ({"scores": float("nan")}, "finite"),
        ({"scores": {"a": float("inf")}}, "finite"),
        ({"scores": -1e101}, "1e100"),
        ({"scores": {"a\x00b": 0.5}}, "`scores` has a name"),
        ({"scores": {str(i): 0.5 for i in range(MAX_FEATURES + 1)}}, "1001 entries"),
        ({"tags": {str(i): "x" for i in range(101)}}, "101 entries"),
        ({"prediction": "x\x00"}, "NUL"),
        ({"prediction": "x" * 5000}, "5000 characters"),
        ({"prediction": 1 << 63}, "64 bits"),
        ({"features": {"a": 1 << 63}}, "64 bits"),
        ({"latency_ms": 1e308}, "`latency_ms`"),
        ({"timestamp": datetime.fromisoformat("0001-01-01T00:00:00+14:00")}, "outside the years"),
        ({"prediction": 1e308}, "`prediction`"),
        ({"prediction": float("nan")}, "`prediction`"),
        ({"tags": {"a": "x" * 200}}, "`tags`"),
        ({"latency_ms": -1.0}, "`latency_ms`"),
        ({"latency_ms": float("inf")}, "`latency_ms`"),
        ({"status": 42}, "`status`"),
    ],
)
def test_what_is_wrong_is_said(fields, says):
    assert says in (check_prediction(prediction(**fields)) or "")


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()))
def test_the_sentence_never_holds_a_feature_value(secret):
    found = check_prediction(prediction(features={"a": [f"<{secret}>"]}))
    assert found is not None
    assert f"<{secret}>" not in found


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (float("nan"), "finite"),
        (10**120, "1e100"),
        ("x" * 200, "200 characters"),
        (["a", ""], "empty"),
        ({"a": float("inf")}, "finite number"),
        (["a"] * 1001, "1001 items"),
    ],
)
def test_a_label_is_checked(label, says):
    assert says in (check_label(Label(model="m", id="1", label=label, timestamp=NOON)) or "")
    assert check_label(Label(model="m", id="1", label=True, timestamp=NOON)) is None


def test_new_ids_differ_and_sort_by_time():
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [value[:12] for value in ids] == sorted(value[:12] for value in ids)


def test_a_prediction_survives_msgpack():
    row = prediction(features={"a": 1.5}, scores=0.25)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=Prediction) == row

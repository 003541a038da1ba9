from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import exchange as exchanges
from collector.capture import UNREAD, Capture
from collector.exchange import Exchange
from collector.formats import Mapping
from collector.observed import ATTEMPT, observe
from collector.spool import encode_record
from remora.records import check_prediction

STARTED = 1362139200.5


def request(body: object, *extra: str, kind: str = "application/json") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        "POST /predict?x=1 HTTP/1.1",
        "Host: m",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        *extra,
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content


def answer(body: object, status: int = 200, *extra: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"HTTP/1.1 {status} X",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *extra,
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content


def exchange(asked: bytes, answered: bytes, **more) -> Exchange:
    values = {
        "id": "id1", "started": STARTED, "latency_ms": 12.5, "outcome": exchanges.COMPLETE, "request": asked,
        "response": answered, "request_cut": False, "response_cut": False, "status": 200, **more,
    }  # fmt: skip
    return Exchange(**values)


def rows(asked: object, answered: object, mapping: Mapping | None = None, **more):
    capture = Capture("m", "v1", mapping or Mapping(scores="probability"), trust_timestamp=True)
    ready = [
        body if isinstance(body, bytes) else make(body)
        for body, make in ((asked, request), (answered, answer))
    ]
    return capture.rows(observe(exchange(*ready, **more), trust_timestamp=True))


def test_one_object_is_one_row():
    (row,) = rows({"a": 1, "b": "x"}, {"prediction": True, "probability": 0.25})
    assert (row.id, row.model, row.version, row.status, row.latency_ms) == ("id1", "m", "v1", 200, 12.5)
    assert (row.features, row.prediction, row.scores) == ({"a": 1, "b": "x"}, True, 0.25)
    assert row.timestamp == datetime.fromtimestamp(STARTED, UTC)


@pytest.mark.parametrize(
    "answered",
    [
        [{"prediction": 1, "probability": 0.1}, {"prediction": 0, "probability": 0.2}],
        {"predictions": [{"prediction": 1, "probability": 0.1}, {"prediction": 0, "probability": 0.2}]},
        {"prediction": [1, 0], "probability": [0.1, 0.2]},
    ],
)
def test_an_array_is_numbered_rows(answered):
    found = rows([{"a": 1}, {"a": 2}], answered)
    assert [(row.id, row.features["a"], row.prediction, row.scores) for row in found] == [
        ("id1-0", 1, 1, 0.1), ("id1-1", 2, 0, 0.2),
    ]  # fmt: skip


def test_bare_predictions_and_unnamed_columns():
    found = rows([[1.5, "x"], [2.5, "y"]], [True, False])
    assert [row.features for row in found] == [{"f0": 1.5, "f1": "x"}, {"f0": 2.5, "f1": "y"}]
    assert [row.prediction for row in found] == [True, False]


def test_the_mapping_says_where_things_stand():
    mapping = Mapping(
        rows="input.rows",
        features="data",
        answers="out.items",
        prediction="class.name",
        scores="p",
        version="model.v",
    )
    asked = {"input": {"rows": [{"data": {"a": 1}, "id": 9}]}}
    answered = {
        "out": {"items": [{"class": {"name": "cat"}, "p": {"cat": 0.9, "dog": 0.1}}]},
        "model": {"v": 7},
    }
    (row,) = rows(asked, answered, mapping)
    assert (row.id, row.features, row.prediction, row.version) == ("id1-0", {"a": 1}, "cat", "7")
    assert row.scores == {"cat": 0.9, "dog": 0.1}


def test_the_version_may_stand_in_each_answer():
    (row,) = rows({"a": 1}, {"prediction": 1, "v": "2"}, Mapping(version="v"))
    assert row.version == "2"
    found = rows([{"a": 1}], [{"prediction": 1, "v": "2"}], Mapping(version="v"))
    assert found[0].version == "2"


def test_nested_features_become_dotted_and_odd_values_fit():
    asked = {
        "a": {"b": 1, "c": [1, 2]},
        "long": "x" * 5000,
        "nul": "a\x00b",
        "big": 2**70,
        "$x": 1,
        "e": list(range(99)),
    }
    (row,) = rows(asked, {"prediction": {"odd": 1}, "probability": "high"})
    assert row.features["a.b"] == 1
    assert row.features["a.c.1"] == 2
    assert (len(row.features["long"]), row.features["nul"], row.features["big"]) == (4096, "ab", float(2**70))
    assert not {"$x", "e"} & set(row.features)
    assert (row.prediction, row.scores) == (None, None)


def test_a_deflated_message():
    asked = request(zlib.compress(b'{"a": 1}'), "Content-Encoding: deflate")
    (row,) = Capture("m").rows(observe(exchange(asked, answer({"prediction": 1}))))
    assert (row.features, row.prediction) == ({"a": 1}, 1)


def test_chunked_and_gzipped_messages():
    packed = gzip.compress(b'{"a": 1}')
    asked = request(packed, "Content-Encoding: gzip")
    answered = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"predi\r\ne\r\nction": false}\r\n0\r\n\r\n'
    (row,) = rows(asked, answered)
    assert (row.features, row.prediction) == ({"a": 1}, False)


def test_an_answer_that_ends_with_the_connection():
    (row,) = rows({"a": 1}, b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"prediction": 3}')
    assert row.prediction == 3


def test_the_timestamp_header_is_believed_only_where_it_is_trusted():
    asked = request({"a": 1}, "X-Remora-Timestamp: 2013-03-01T10:00:00+01:00")
    (row,) = rows(asked, {"prediction": 1})
    assert row.timestamp == datetime(2013, 3, 1, 9, tzinfo=UTC)
    (row,) = Capture("m").rows(observe(exchange(asked, answer({"prediction": 1}))))
    assert row.timestamp == datetime.fromtimestamp(STARTED, UTC)
    for wrong in ("2013-03-01T10:00:00", "noon", "0001-01-01T00:00:00Z"):
        (row,) = rows(request({"a": 1}, f"X-Remora-Timestamp: {wrong}"), {"prediction": 1})
        assert row.timestamp == datetime.fromtimestamp(STARTED, UTC)


def test_failures_keep_their_features_and_status():
    found = rows([{"a": 1}, {"a": 2}], {"error": "x"}, status=500)
    assert [(row.status, row.features, row.prediction) for row in found] == [
        (500, {"a": 1}, None),
        (500, {"a": 2}, None),
    ]


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        (exchanges.UPSTREAM_GONE, 0, 502), (exchanges.UPSTREAM_GONE, 200, 502), (exchanges.UPSTREAM_GONE, 502, 502),
        (exchanges.TIMEOUT, 0, 504), (exchanges.CLIENT_GONE, 0, 499), (exchanges.CLIENT_GONE, 200, 200),
    ],
)  # fmt: skip
def test_what_did_not_end_well_has_a_status(outcome, status, expected):
    (row,) = rows({"a": 1}, b"", outcome=outcome, status=status)
    assert (row.status, row.features) == (expected, {"a": 1})


@pytest.mark.parametrize(
    ("asked", "more", "reason"),
    [
        (b"nonsense\r\n\r\n", {}, "request_not_http"),
        (request(b"{"), {}, "request_not_json"),
        (request(b"42"), {}, "request_without_rows"),
        (request([]), {}, "request_without_rows"),
        (request(b"a,b", kind="text/csv"), {}, "request_format"),
        (request({"a": 1}), {"request_cut": True}, "request_cut"),
        (request(b"x", "Content-Encoding: gzip"), {}, "request_not_gzip"),
        (request(b"x", "Content-Encoding: deflate"), {}, "request_not_deflate"),
        (request({"a": 1}, "Content-Encoding: br"), {}, "request_encoding"),
        (b"", {}, "request_format"),
    ],
)
def test_an_unreadable_request_still_counts(asked, more, reason):
    (row,) = rows(asked, {"prediction": 1}, **more)
    assert (row.id, row.status, row.latency_ms, row.features) == ("id1", 200, 12.5, {})
    assert row.tags == {UNREAD: reason}


@pytest.mark.parametrize(
    ("answered", "more", "reason"),
    [
        (answer(b"<html>"), {}, "answer_not_json"),
        (answer({"prediction": 1}), {"response_cut": True}, "answer_cut"),
        (answer([1, 2, 3]), {}, "answer_of_other_length"),
        (b"what\r\n\r\n", {}, "answer_not_http"),
    ],
)
def test_an_unreadable_answer_keeps_the_features(answered, more, reason):
    (row,) = rows({"a": 1}, answered, **more)
    assert (row.features, row.prediction, row.tags) == ({"a": 1}, None, {UNREAD: reason})


def test_an_id_that_is_too_long_is_replaced():
    (row,) = rows([{"a": 1}], [1], id="x" * 128)
    assert len(row.id) == 26
    assert row.features == {"a": 1}


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(asked=JSONS, answered=JSONS, status=st.sampled_from([200, 404, 500]))
@settings(max_examples=200, deadline=None)
def test_whatever_is_captured_gives_records_that_pass(asked, answered, status):
    found = rows(asked, answered, status=status)
    assert found
    for row in found:
        assert check_prediction(row) is None
        encode_record(row)


@given(asked=st.binary(max_size=200), answered=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_one_record(asked, answered):
    (row,) = rows(asked, answered)
    assert check_prediction(row) is None


@pytest.mark.parametrize("outcome", [exchanges.CLIENT_GONE, exchanges.UPSTREAM_GONE, exchanges.TIMEOUT])
def test_an_attempt_without_an_answer_leaves_the_callers_id_to_the_one_that_succeeds(outcome):
    (cut,) = Capture("m").rows(observe(exchange(request({"a": 1}), b"", outcome=outcome, status=0)))
    (done,) = Capture("m").rows(observe(exchange(request({"a": 1}), answer({"prediction": 1}))))
    assert cut.id != done.id
    assert cut.tags == {ATTEMPT: done.id}
    assert cut.features == done.features


@pytest.mark.parametrize(
    "answered", [{"predictions": [["x", "y", 3]]}, {"predictions": [{"prediction": ["x", "y", 3]}]}]
)
def test_a_ranked_list_is_kept_in_its_order(answered):
    (row,) = rows([{"user": "u"}], answered, Mapping(ranked=True))
    assert row.prediction == ["x", "y", 3]
    assert row.scores is None
    assert check_prediction(row) is None


def test_what_is_no_item_is_left_out_of_a_ranked_list():
    (row,) = rows(
        [{"user": "u"}], {"predictions": [["x", None, {"a": 1}, "y" * 200, "z"]]}, Mapping(ranked=True)
    )
    assert row.prediction == ["x", "z"]
    (other,) = rows([{"user": "u"}], {"predictions": [["x", "z"]]})
    assert other.prediction is None  # to any other kind of model a list says nothing

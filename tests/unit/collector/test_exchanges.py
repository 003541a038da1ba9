from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.bodies import Limits
from collector.capture import UNREAD, Captures
from collector.errors import BodyError
from collector.exchanges import parse_exchanges
from collector.identity import ID_HEADERS
from remora.client.exchanges import _ID_HEADERS
from remora.config.load import parse
from remora.records import check_prediction

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAPTURES = Captures(parse("version: 1\nmodels: {named: {capture: {prediction: out}}}"))


def side(body: object, kind: str = "application/json", **more) -> dict:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {"headers": {"Content-Type": kind}, "body": base64.b64encode(content).decode(), **more}


def exchange(asked: object = None, answered: object = None, **more) -> dict:
    made = {"model": "m", "path": "/predict", "id": "e1", "request": side(asked or {"a": 1})}
    return {**made, **({"answer": side(answered)} if answered is not None else {}), **more}


def read(*items: dict, captures: Captures = CAPTURES):
    body = "\n".join(json.dumps(item) for item in items).encode()
    return parse_exchanges(body, lines=True, now=NOON, limits=Limits(), captures=captures)


def test_an_exchange_becomes_a_record():
    started = "2026-01-01T10:00:00+01:00"
    parsed = read(
        exchange(answered={"prediction": True}, started=started, latency_ms=2.5, version="7", tags={"k": "v"})
    )
    (row,) = parsed.records
    assert (row.model, row.id, row.version, row.features, row.prediction) == ("m", "e1", "7", {"a": 1}, True)
    assert (row.timestamp.isoformat(), row.latency_ms, row.tags) == (
        "2026-01-01T09:00:00+00:00",
        2.5,
        {"k": "v"},
    )


def test_many_rows_many_records_in_the_format_that_the_path_names():
    asked = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}
    answered = {"outputs": [{"name": "y", "shape": [2], "datatype": "FP32", "data": [3, 4]}]}
    parsed = read(exchange(asked, answered, path="/v2/models/named/infer"))
    assert [(row.model, row.id, row.prediction) for row in parsed.records] == [
        ("named", "e1-0", 3),
        ("named", "e1-1", 4),
    ]


def test_the_models_own_mapping_is_used():
    (row,) = read(exchange(answered={"out": 5}, model="named")).records
    assert row.prediction == 5


def test_an_error_has_no_answer_and_what_is_cut_is_not_read():
    failed, cut, packed = read(
        exchange(status=500, answered={"error": "x"}),
        exchange(request=side({"a": 1}, cut=True)),
        exchange(
            request={**side(gzip.compress(b'{"a": 2}')), "headers": {"content-encoding": "gzip", "content-type": "application/json"}},
        ),
    ).records  # fmt: skip
    assert (failed.status, failed.features, failed.prediction) == (500, {"a": 1}, None)
    assert cut.tags == {UNREAD: "request_cut"}
    assert packed.features == {"a": 2}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": ""}, "`model` is empty"),
        ({"version": "x" * 129}, "`version` is"),
        ({"started": "2026-01-01T10:00:00"}, "no time zone"),
        ({"started": "0001-01-01T00:00:00Z"}, "1901"),
        ({"status": 99}, "`status` must"),
        ({"latency_ms": -1}, "`latency_ms` must"),
        ({"request": {"body": "###"}}, "base64"),
        ({"colour": 1}, "unknown field `colour`"),
    ],
)
def test_what_is_wrong_is_said_by_place_and_costs_the_others_nothing(wrong: dict, said: str):
    parsed = read(exchange(), exchange(**wrong), exchange(id="e3"))
    assert [row.id for row in parsed.records] == ["e1", "e3"]
    (rejected,) = parsed.rejected
    assert rejected["index"] == 1
    assert said in rejected["error"]


def test_client_and_collector_read_ids_out_of_the_same_headers():
    assert _ID_HEADERS == ID_HEADERS


@given(st.binary(max_size=120) | st.builds(lambda x: json.dumps(x).encode(), st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "request", "answer", "id", "body", "headers", "status"]), inner, max_size=4),
)), st.booleans())  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_body_raises_anything_but_the_declared_error(body: bytes, lines: bool):
    try:
        parsed = parse_exchanges(body, lines=lines, now=NOON, limits=Limits(), captures=CAPTURES)
    except BodyError:
        return
    assert all(check_prediction(row) is None for row in parsed.records)

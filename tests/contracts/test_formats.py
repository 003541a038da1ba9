"""What every wire format promises: its examples are read right, alone and among the others, and no bytes break it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.capture import UNREAD, Capture
from collector.errors import UnreadableError
from collector.formats import FORMATS, Mapping, Message, recognise
from collector.observed import Observed
from collector.spool import encode_record
from remora.config.models import Format as Named
from remora.records import check_prediction
from tests.format_examples import EXAMPLES, Example

START = datetime(2026, 1, 1, tzinfo=UTC)
MAPPINGS = [
    Mapping(),
    Mapping(scores="$", columns=("a", "b"), classes=("no", "yes")),
    Mapping(prediction="x.0", scores="p", version="v", rows="r", features="f", answers="a"),
]


def seen(request: Message | None, answer: Message | None, **more) -> Observed:
    values = {"id": "r", "started": START, "latency_ms": 1.0, "status": 200, **more}
    return Observed(request=request, answer=answer, **values)


def by_name(name: str):
    return next(known for known in FORMATS if known.name == name)


def test_every_format_can_be_named_in_the_configuration_and_has_examples():
    names = {known.name for known in FORMATS}
    assert names == set(Named.__args__)
    assert names == {example.format for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_is_recognised(example: Example):
    assert recognise(example.request, None, example.mapping).name == example.format


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_is_read(example: Example):
    """Features as they were sent; prediction, scores and version as they are kept."""
    known = by_name(example.format)
    asked = known.asked(example.request, example.mapping)
    answered = known.answered(example.answer, len(asked.features), example.mapping)
    assert asked.features == [features for features, _, _ in example.rows]
    assert (asked.id or answered.id, answered.version or asked.version) == (example.id, example.version)
    found = Capture("m", mapping=example.mapping).rows(seen(example.request, example.answer))
    assert [(row.prediction, row.scores) for row in found] == [
        (said, scores) for _, said, scores in example.rows
    ]
    assert {row.tags.get(UNREAD) for row in found} == {None}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
@pytest.mark.parametrize("body", [b"", b"{", b"[1,2,3,4,5,6,7]", b'{"error": "no"}', b"\xff\xfe", b"null"])
def test_an_answer_that_cannot_be_read_keeps_the_features(example: Example, body: bytes):
    observed = seen(example.request, replace(example.answer, body=body))
    whole = Capture("m", mapping=example.mapping).rows(seen(example.request, None))
    found = Capture("m", mapping=example.mapping).rows(observed)
    assert [row.features for row in found] == [row.features for row in whole]
    if len(example.rows) > 1:
        assert all(row.tags[UNREAD] for row in found)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_many_rows_are_numbered_behind_the_requests_id(example: Example):
    observed = seen(example.request, example.answer, id_settled=False)
    found = Capture("m", mapping=example.mapping).rows(observed)
    root = example.id or "r"
    single = len(found) == 1 and not example.request.body.lstrip().startswith(b"[")
    assert [row.id for row in found] == ([root] if single else [f"{root}-{i}" for i in range(len(found))])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "instances", "data", "shape", "name", "datatype", "id", "columns", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode())
paths = st.sampled_from(["", *(example.request.path for example in EXAMPLES)])
kinds = st.sampled_from(
    ["", "text/csv", "application/json", "application/octet-stream", "application/jsonlines"]
)
lengths = st.sampled_from(["", "0", "5", "-1", "99999999999", "x"])


@st.composite
def messages(draw) -> Message:
    """Bytes of any kind, and examples in which one part was changed."""
    headers = {"content-type": draw(kinds), "inference-header-content-length": draw(lengths)}
    if draw(st.booleans()):
        return Message(headers, draw(bodies), draw(paths))
    example = draw(st.sampled_from(EXAMPLES))
    side = draw(st.sampled_from([example.request, example.answer]))
    start = draw(st.integers(0, len(side.body)))
    end = draw(st.integers(start, min(len(side.body), start + 20)))
    body = side.body[:start] + draw(st.binary(max_size=6)) + side.body[end:]
    return replace(side, body=body, path=draw(paths))


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@given(
    request=messages(),
    answer=st.none() | messages(),
    mapping=st.sampled_from(MAPPINGS),
    count=st.integers(1, 4),
)
@settings(max_examples=150, deadline=None)
def test_no_input_raises_anything_but_the_declared_error(known, request, answer, mapping, count):
    known.accepts(request)
    asked = declared(lambda: known.asked(request, mapping))
    assert asked is None or asked.many or len(asked.features) <= 1
    if answer is not None:
        declared(lambda: known.answered(answer, count, mapping))


def declared(read):
    """What is read, or None where it cannot be."""
    try:
        return read()
    except UnreadableError:
        return None


@given(
    request=st.none() | messages(),
    answer=st.none() | messages(),
    mapping=st.sampled_from(MAPPINGS),
    known=st.none() | st.sampled_from(FORMATS),
    identity=st.text(max_size=140),
    settled=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_seen_gives_records_that_pass(request, answer, mapping, known, identity, settled):
    observed = seen(request, answer, id=identity, id_settled=settled)
    found = Capture("m", mapping=mapping, format=known and known.name).rows(observed)
    assert found
    for row in found:
        assert check_prediction(row) is None
        encode_record(row)

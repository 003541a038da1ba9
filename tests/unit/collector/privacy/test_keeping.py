from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from collector.privacy.keeping import KEPT, Keeper, draw
from collector.privacy.profiles import CROWD, coarse, rounded
from collector.store import shapes_of
from remora.config.load import parse
from remora.records import Batch, Label, Prediction
from remora.summaries import decode
from remora.summaries.categorical import NAMELESS

START = datetime(2026, 1, 1, tzinfo=UTC)
TENTH = "version: 1\nmodels: {m: {capture: {sample: 0.1}, segments: [region]}}"
PRIVATE = "version: 1\nmodels: {m: {privacy: {profiles_only: true}, segments: [region]}}"


def keeper(text: str = TENTH, key: str | None = None) -> Keeper:
    config = parse(text)
    return Keeper(config, shapes_of(config), key)


def row(number: int, **more) -> Prediction:
    values = {
        "model": "m", "id": f"r{number}", "timestamp": START + timedelta(seconds=number % 120),
        "features": {"x": number / 7, "name": f"person-{number}", "colour": "red"}, "prediction": True, "latency_ms": 2.0,
        **more,
    }  # fmt: skip
    return Prediction(**values)


def batch(rows: list[Prediction], labels: list[Label] | None = None) -> Batch:
    return Batch(id="b", source="s", predictions=rows, labels=labels or [])


def counted(prepared: Batch, segment: str = "") -> int:
    found = [
        decode(one.data) for one in prepared.profiles if one.column == "$traffic" and one.segment == segment
    ]
    return sum(summary.count for summary in found)


def test_a_draw_is_hmac_sha_256_as_any_language_computes_it():
    digest = hmac.new(b"fraud", b"order 17", hashlib.sha256).digest()
    assert draw(b"fraud", "order 17") == int.from_bytes(digest[:8], "big") / 2**64


def test_the_share_is_the_configured_one():
    prepared = keeper().prepare(batch([row(n) for n in range(5000)]))
    assert stats.binomtest(len(prepared.predictions), 5000, 0.1).pvalue > 1e-6
    assert {one.sample for one in prepared.predictions} == {0.1}
    assert prepared.unkept == 5000 - len(prepared.predictions) == counted(prepared)


def test_errors_and_labelled_rows_are_always_kept_and_stand_for_themselves():
    label = Label(model="m", id="r1", label=True, timestamp=START)
    found = keeper("version: 1\nmodels: {m: {capture: {sample: 0}}}").prepare(
        batch([row(0, status=500), row(1), row(2)], [label])
    )
    assert [(one.id, one.sample, one.tags) for one in found.predictions] == [
        ("r0", 1.0, {KEPT: "error"}),
        ("r1", 1.0, {KEPT: "labelled"}),
    ]
    assert found.unkept == 1


def test_a_second_collector_does_not_draw_again():
    once = keeper().prepare(batch([row(n, status=500 if n % 9 == 0 else 200) for n in range(400)]))
    assert keeper().prepare(once) == once


def test_models_without_settings_cost_nothing():
    whole = batch([row(1)])
    assert keeper("version: 1").prepare(whole) is whole
    other = batch([row(1, model="other")])
    assert keeper().prepare(other) == other


@given(st.lists(st.text(max_size=20), min_size=1, unique=True), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_who_is_drawn_at_a_share_is_drawn_at_any_larger_one(ids, one, two):
    low, high = sorted((one, two))

    def kept(share: float) -> set[str]:
        text = f"version: 1\nmodels: {{m: {{capture: {{sample: {share!r}}}}}}}"
        prepared = keeper(text, "a key").prepare(batch([row(0, id=name) for name in ids]))
        return {found.id for found in prepared.predictions}

    assert kept(low) <= kept(high)


def test_what_is_not_kept_is_in_the_summaries_with_its_segment():
    found = keeper("version: 1\nmodels: {m: {capture: {sample: 0}, segments: [region]}}").prepare(
        batch([row(n, tags={"region": "eu" if n % 2 else "us"}) for n in range(10)])
    )
    assert (counted(found), counted(found, "region=eu")) == (10, 5)
    columns = {one.column for one in found.profiles if not one.segment}
    assert columns == {"$traffic", "$latency", "$prediction", "x", "name", "colour"}


def test_profiles_alone_hold_no_value_of_a_row():
    rows = [row(n, tags={"region": f"street {n}"}, scores=0.123456789 + n / 1e4) for n in range(60)]
    prepared = keeper(PRIVATE).prepare(batch([*rows, row(61, status=500, features={"name": "error-person"})]))
    sent = msgspec.msgpack.encode(prepared) + b"".join(one.data for one in prepared.profiles)
    assert prepared.predictions == []
    assert (prepared.unkept, counted(prepared)) == (61, 61)
    assert b"person" not in sent
    assert b"street" not in sent
    assert b"red" in sent  # everybody's colour is nobody's own
    for number in range(60):
        assert msgspec.msgpack.encode(number / 7)[1:] not in sent or rounded(number / 7) == number / 7
    names = next(one for one in prepared.profiles if one.column == "name")
    assert decode(names.data).count == 60
    assert decode(names.data).counts() == {}


@pytest.mark.parametrize(("count", "seen"), [(CROWD - 1, False), (CROWD, True)])
def test_a_few_rows_give_traffic_and_latency_alone(count: int, seen: bool):
    prepared = keeper(PRIVATE).prepare(batch([row(n, timestamp=START) for n in range(count)]))
    columns = {one.column for one in prepared.profiles}
    assert {"$traffic", "$latency"} <= columns
    assert ("colour" in columns) is seen


def test_a_rare_segment_is_not_one():
    rows = [row(n, timestamp=START, tags={"region": "eu" if n < 8 else "malta"}) for n in range(10)]
    prepared = keeper(PRIVATE).prepare(batch(rows))
    assert {one.segment for one in prepared.profiles} == {"", "region=eu"}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(allow_nan=False), st.sampled_from("abc")), max_size=40)
)
@settings(max_examples=60, deadline=None)
def test_coarse_rows_are_as_many_and_name_only_what_a_crowd_shares(entries):
    rows = [
        row(index, timestamp=START + timedelta(minutes=minute), features={"v": value, "c": letter})
        for index, (minute, value, letter) in enumerate(entries)
    ]
    made = list(coarse(rows, {}))
    assert sorted(one.timestamp for one in made) == sorted(one.timestamp for one in rows)
    for minute in {one.timestamp for one in made}:
        named = [
            one.features["c"]
            for one in made
            if one.timestamp == minute and one.features.get("c", NAMELESS) != NAMELESS
        ]
        assert all(named.count(letter) >= CROWD for letter in named)

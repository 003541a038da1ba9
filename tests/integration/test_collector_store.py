"""The store against both databases: any order, partition and repetition of batches gives the same numbers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import RefusedError
from collector.store import Store
from remora import tables
from remora.database import connect
from remora.errors import UnavailableError
from remora.records import Batch, Label, PersonalField, Prediction, Profiled
from remora.summaries import TrafficSummary, encode, merge_encoded
from remora.summaries.profile import Shape

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
SHAPES = {"m": Shape(segments=("carrier",))}


def prediction(number: int, **more) -> Prediction:
    values = {
        "model": "m", "id": f"p{number}", "timestamp": NOON + timedelta(seconds=20 * number), "version": "1",
        "features": {"distance": 100.0 + number, "carrier": "UA" if number % 3 else "DL"},
        "prediction": number % 2 == 0, "scores": (number % 10) / 10, "latency_ms": 5.0, **more,
    }  # fmt: skip
    return Prediction(**values)


def label(number: int, value: object, seconds: int = 0) -> Label:
    return Label(
        model="m", id=f"p{number}", label=value, timestamp=NOON + timedelta(hours=1, seconds=seconds)
    )


def batch(name: str, *records: Prediction | Label) -> Batch:
    return Batch(
        id=name, source="test",
        predictions=[row for row in records if isinstance(row, Prediction)],
        labels=[row for row in records if isinstance(row, Label)],
    )  # fmt: skip


def merged(database) -> dict:
    """Every summary of the database, merged over batches, as exact counts and rounded sums."""
    blobs: dict[tuple, list[bytes]] = {}
    with database.read() as connection:
        for row in connection.execute(sa.select(tables.summaries)):
            key = (row.model, row.version, row.segment, row.start, row.column_name, row.kind)
            blobs.setdefault(key, []).append(row.data)
    return {key: _numbers(merge_encoded(found)) for key, found in blobs.items()}


def _numbers(summary) -> tuple:
    if summary.kind == "performance":
        sums = [summary.log_loss_sum, summary.brier_sum, *summary.errors]
        return (
            summary.labelled,
            sorted((key, count) for key, count in summary.confusion.items() if count),
            sorted(summary.positive_scores.items()),
            sorted(summary.negative_scores.items()),
            [round(value, 6) + 0.0 for value in sums],
        )
    if summary.kind == "scores":
        return tuple(map(str, summary.fields()))
    if summary.kind == "traffic":
        return (sorted(summary.by_status.items()),)
    if summary.kind == "categorical":
        return (summary.count, summary.missing, sorted(summary.counts().items()))
    return (summary.count, round(getattr(summary, "mean", 0) or 0, 6))


def rows(database, table) -> list[tuple]:
    query = sa.select(table).order_by(table.c.model, table.c.id)
    with database.read() as connection:
        return [
            tuple(v for k, v in row._mapping.items() if k != "batch_id") for row in connection.execute(query)
        ]


def test_writes_rows_labels_and_summaries_together(database):
    written = Store(database, SHAPES).write(
        batch("b1", prediction(0), prediction(1), label(0, True), label(9, False)), NOON
    )
    assert (written.predictions, written.labels, written.joined, written.repeated) == (2, 2, 1, 0)
    numbers = merged(database)
    assert numbers["m", "1", "", NOON, "$traffic", "traffic"] == ([(200, 2)],)
    assert numbers["m", "1", "", NOON, "$performance", "performance"][:2] == (1, [(("true", "true"), 1)])
    assert ("m", "1", "carrier=DL", NOON, "$performance", "performance") in numbers
    with database.read() as connection:
        assert connection.execute(sa.select(tables.batches.c.predictions, tables.batches.c.labels)).one() == (
            2,
            2,
        )
        assert connection.execute(sa.select(tables.models)).one() == ("m", NOON, NOON + timedelta(seconds=20))
        assert (
            connection.execute(sa.select(tables.predictions.c.features).limit(1)).scalar_one()["distance"]
            >= 100
        )


def test_a_batch_that_is_there_changes_nothing(database):
    store = Store(database, SHAPES)
    store.write(batch("b1", prediction(0)), NOON)
    before = merged(database)
    assert store.write(batch("b1", prediction(0)), NOON).known
    assert merged(database) == before


def test_a_repeated_prediction_is_counted_once(database):
    store = Store(database, SHAPES)
    store.write(batch("b1", prediction(0)), NOON)
    written = store.write(batch("b2", prediction(0), prediction(1), prediction(1)), NOON)
    assert (written.predictions, written.repeated) == (1, 2)
    assert merged(database)["m", "1", "", NOON, "$traffic", "traffic"] == ([(200, 2)],)
    with database.read() as connection:
        query = sa.select(tables.batches.c.repeated).where(tables.batches.c.id == "b2")
        assert connection.execute(query).scalar_one() == 2


def test_a_newer_label_replaces_an_older_one_whichever_comes_first(database):
    store = Store(database, SHAPES)
    store.write(batch("b1", prediction(0), label(0, True, 10)), NOON)
    assert store.write(batch("b2", label(0, False, 20)), NOON).corrected == 1
    assert store.write(batch("b3", label(0, True, 15)), NOON).corrected == 0
    assert store.write(batch("b4", label(0, False, 20)), NOON).repeated == 1
    assert merged(database)["m", "1", "", NOON, "$performance", "performance"][:2] == (
        1,
        [(("false", "true"), 1)],
    )
    assert rows(database, tables.labels)[0][2] is False


def test_a_ranking_is_a_list_and_its_label_says_what_was_relevant(database):
    store = Store(database, {"m": Shape(kind="ranking", top=2)})
    store.write(
        batch("a", prediction(1, prediction=["x", "y", 3]), label(1, "y"), prediction(2, prediction=["z"])),
        NOON,
    )
    store.write(batch("b", label(2, {"z": 2.0, "x": 1.0})), NOON)
    store.write(batch("c", label(1, ["x", 3], seconds=5)), NOON)  # corrected: the old one is taken back
    with database.read() as connection:
        blobs = list(connection.execute(sa.select(tables.summaries.c.column_name, tables.summaries.c.data)))
    whole = merge_encoded([blob for name, blob in blobs if name == "$performance"])
    ideal = 2 + 1 / np.log2(3)
    assert whole.lists[:5] == pytest.approx([2, 1 / (1 + 1 / np.log2(3)) + 2 / ideal, 0.5 + 0.5, 2, 2])
    items = merge_encoded([blob for name, blob in blobs if name == "$prediction"])
    assert items.counts() == {"x": 1, "y": 1, "z": 1}  # the third place does not count


def test_a_label_waits_for_its_prediction(database):
    store = Store(database, SHAPES)
    assert store.write(batch("b1", label(0, True)), NOON).joined == 0
    assert store.write(batch("b2", prediction(0)), NOON).joined == 1
    assert store.join_waiting(NOON) == 0


def test_a_label_of_a_failed_request_is_no_performance(database):
    Store(database, SHAPES).write(
        batch("b1", prediction(0, status=500, prediction=None), label(0, True)), NOON
    )
    assert not [key for key in merged(database) if key[4] == "$performance"]
    assert rows(database, tables.labels)[0][4] is True


def test_refused_data_writes_nothing(database):
    class Odd(str):
        __slots__ = ()

    bad = prediction(0, features={"x": object()})
    with pytest.raises(RefusedError) as refused:
        Store(database, SHAPES).write(batch("b1", prediction(1), bad), NOON)
    assert "object" not in str(refused.value).lower().replace("typeerror", "")
    assert rows(database, tables.predictions) == []
    with database.read() as connection:
        assert connection.execute(sa.select(tables.batches)).all() == []


TRAFFIC = Profiled(
    model="m",
    version="1",
    segment="",
    start=NOON,
    column="$traffic",
    kind="traffic",
    data=encode(TrafficSummary({200: 9})),
)


def test_what_is_in_summaries_alone_is_added_as_it_is(database):
    store = Store(database, SHAPES)
    one = msgspec.structs.replace(
        batch("b1", prediction(0)), profiles=[TRAFFIC], unkept=9,
        personal=[PersonalField(model="m", feature="mail", looks_like="email")],
    )  # fmt: skip
    later = msgspec.structs.replace(one, id="b2", predictions=[])
    assert store.write(one, NOON).changed == 1
    assert store.write(one, NOON).changed == 1  # what was done then
    store.write(later, NOON + timedelta(days=1))
    assert merged(database)["m", "1", "", NOON, "$traffic", "traffic"] == ([(200, 19)],)
    with database.read() as connection:
        assert list(connection.execute(sa.select(tables.batches.c.unkept)).scalars()) == [9, 9]
        assert connection.execute(sa.select(tables.personal_fields)).all() == [("m", "mail", "email", NOON)]


def test_a_batch_with_a_bad_summary_is_refused_whole(database):
    bad = msgspec.structs.replace(TRAFFIC, data=b"junk")
    with pytest.raises(RefusedError, match="version"):
        Store(database, SHAPES).write(
            msgspec.structs.replace(batch("b1", prediction(0)), profiles=[bad]), NOON
        )
    assert rows(database, tables.predictions) == []


def test_a_sampled_row_weighs_what_it_stands_for_once_it_is_labelled(database):
    store = Store(database, SHAPES)
    sampled = [prediction(0, sample=0.25), prediction(2, sample=0.1), prediction(4)]
    store.write(batch("b1", *sampled, label(0, True), label(2, True), label(4, False)), NOON)
    store.write(batch("b2", label(2, False, 10)), NOON)
    with database.read() as connection:
        query = sa.select(tables.summaries.c.data).where(
            tables.summaries.c.column_name == "$performance", tables.summaries.c.segment == ""
        )
        found = merge_encoded(connection.execute(query).scalars())
        kept = sa.select(tables.predictions.c.sample).order_by(tables.predictions.c.id)
        assert list(connection.execute(kept).scalars()) == [0.25, 0.1, 1.0]
    assert (found.rows, found.labelled) == (3, 15)
    assert found.confusion == {("true", "true"): 4, ("false", "true"): 11}
    assert merged(database)["m", "1", "", NOON, "$traffic", "traffic"] == (
        [(200, 2)],
    )  # a kept row is itself alone


def test_rows_beyond_one_statement_and_repeated_ones_among_them(database):
    """More than one statement's worth, with some that are there already: only the new ones are written and counted."""
    store = Store(database, {})
    store.write(batch("b1", *(prediction(n, timestamp=NOON) for n in range(0, 3000, 7))), NOON)
    written = store.write(batch("b2", *(prediction(n, timestamp=NOON) for n in range(2900))), NOON)
    assert (written.predictions, written.repeated) == (2900 - 415, 415)
    assert len(rows(database, tables.predictions)) == 2900 + len(range(2905, 3000, 7))
    assert merged(database)["m", "1", "", NOON, "$traffic", "traffic"] == ([(200, 2914)],)


def test_values_come_back_as_they_were(database):
    odd = prediction(
        0, features={"ü": 'a\\b"c\t', "n": None, "i": 2**62, "f": 0.1}, prediction=None, scores={"a": 1e-9},
        timestamp=datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=5))), latency_ms=None,
        tags={"t": "v"},
    )  # fmt: skip
    Store(database, {}).write(batch("b1", odd), NOON)
    with database.read() as connection:
        found = connection.execute(sa.select(tables.predictions)).one()
    for name in ("features", "prediction", "scores", "timestamp", "latency_ms", "tags", "status", "sample"):
        assert getattr(found, name) == getattr(odd, name), name


def test_a_database_that_is_away_is_unavailable():
    store = Store(connect("postgresql+psycopg://nobody@127.0.0.1:9/none"), {})
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
        store.write(batch("b1", prediction(0)), NOON)


RECORDS = [
    *(prediction(n) for n in range(6)),
    *(label(n, n % 3 == 0, n) for n in range(7)),
    label(1, False, 50), label(1, True, 60), label(2, True, 1), label(2, True, 70), label(2, False, 65),
]  # fmt: skip


@given(data=st.data())
@settings(
    max_examples=15, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_order_partition_and_repetition_do_not_matter(database, data):
    _empty(database)
    store = Store(database, SHAPES)
    store.write(batch("all", *RECORDS), NOON)
    expected = merged(database), rows(database, tables.predictions), rows(database, tables.labels)
    _empty(database)
    shuffled = data.draw(st.permutations(RECORDS))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(RECORDS)), max_size=6)))
    edges = [0, *cuts, len(RECORDS)]
    batches = [batch(f"b{n}", *shuffled[a:b]) for n, (a, b) in enumerate(pairwise(edges))]
    again = data.draw(st.lists(st.sampled_from(batches), max_size=3))
    extra = [batch(f"x{n}", *data.draw(st.lists(st.sampled_from(RECORDS), max_size=4))) for n in range(2)]
    for one in data.draw(st.permutations([*batches, *again, *extra])):
        store.write(one, NOON)
    found = merged(database)
    assert {k: v for k, v in found.items() if any(v)} == {k: v for k, v in expected[0].items() if any(v)}
    assert rows(database, tables.predictions) == expected[1]
    assert rows(database, tables.labels) == expected[2]


def _empty(database) -> None:
    with database.write() as connection:
        for table in (
            tables.batches,
            tables.predictions,
            tables.labels,
            tables.summaries,
            tables.models,
            tables.versions,
        ):
            connection.execute(sa.delete(table))


def test_two_writers_at_once_lose_and_double_nothing(database):
    """Predictions and their labels in different transactions of different threads, each sent twice."""
    stores = [Store(database, SHAPES), Store(database, SHAPES)]
    total, size = 120, 10
    starts = range(0, total, size)
    predictions = [batch(f"p{s}", *(prediction(n) for n in range(s, s + size))) for s in starts]
    labels = [batch(f"l{s}", *(label(n, n % 4 == 0) for n in range(s, s + size))) for s in starts]
    errors: list[BaseException] = []

    def write(store: Store, batches: list[Batch]) -> None:
        for one in batches:
            while True:
                try:
                    store.write(one, NOON)
                    break
                except UnavailableError:
                    continue  # a deadlock or a lock that took too long: delivery tries again, too
                except Exception as error:  # noqa: BLE001  (a thread's error must reach the test)
                    errors.append(error)
                    return

    mixed = [one for pair in zip(labels, predictions, strict=True) for one in pair]
    threads = [
        threading.Thread(target=write, args=(store, order))
        for store, order in zip(stores, ([*predictions, *labels], mixed), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    stores[0].join_waiting(NOON)
    numbers = merged(database)
    traffic = sum(v[0][0][1] for k, v in numbers.items() if k[4] == "$traffic" and k[2] == "")
    labelled = sum(v[0] for k, v in numbers.items() if k[4] == "$performance" and k[2] == "")
    assert (traffic, labelled) == (total, total)


def test_the_sweep_joins_what_two_open_transactions_missed(database):
    """A label that was left waiting although its prediction is there, as after two blind transactions."""
    store = Store(database, SHAPES)
    store.write(batch("b1", prediction(0), label(0, True)), NOON)
    with database.write() as connection:
        connection.execute(sa.update(tables.labels).values(joined=False))
        connection.execute(
            sa.delete(tables.summaries).where(tables.summaries.c.column_name == "$performance")
        )
    assert store.join_waiting(NOON) == 1
    assert store.join_waiting(NOON) == 0
    assert merged(database)["m", "1", "", NOON, "$performance", "performance"][0] == 1


def test_the_sweep_asks_the_database_only_when_something_was_written(database):
    store = Store(database, SHAPES)
    store.write(batch("b1", label(0, True)), NOON)
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert store.join_waiting(NOON) == 0
    first = len(asked)
    assert first > 0
    assert [store.join_waiting(NOON) for _ in range(3)] == [0, 0, 0]
    assert len(asked) == first
    store.write(batch("b2", label(1, True)), NOON)
    written = len(asked)
    store.join_waiting(NOON)
    assert len(asked) > written


def test_a_sweep_that_reached_its_bound_goes_on_with_the_next(database, monkeypatch):
    monkeypatch.setattr("collector.store._SWEEP", 2)
    store = Store(database, SHAPES)
    store.write(batch("b1", *(prediction(n) for n in range(5)), *(label(n, True) for n in range(5))), NOON)
    with database.write() as connection:
        connection.execute(sa.update(tables.labels).values(joined=False))
    assert [store.join_waiting(NOON) for _ in range(4)] == [2, 2, 1, 0]


def test_two_tags_are_crossed_and_what_is_one_too_many_is_counted_with_the_others(database):
    store = Store(database, {"m": Shape(segments=("carrier", "carrier*zone"))})
    rows = [
        prediction(number, timestamp=NOON, features={"carrier": number % 120}, tags={"zone": "n"})
        for number in range(240)
    ]
    store.write(batch("b1", *rows[:120]), NOON)
    store.write(batch("b2", *rows[120:]), NOON)
    asked = {
        key[2]: sum(count for _, count in sums[0])
        for key, sums in merged(database).items()
        if key[4] == "$traffic"
    }
    crossed = {name for name in asked if "*" in name}
    assert len(crossed) == 101
    assert len(asked) == 1 + 101 + 101
    assert "carrier=__other__*zone=__other__" in crossed
    assert (asked[""], asked["carrier=0"], asked["carrier=__other__"]) == (240, 2, 40)


def test_a_value_with_a_star_in_it_is_no_crossing(database):
    Store(database, SHAPES).write(batch("b1", prediction(0, features={"carrier": "a*b=c"})), NOON)
    assert {key[2] for key in merged(database)} == {"", "carrier=a_b=c"}

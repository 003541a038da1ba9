"""What every source of files promises: right records, none twice, none lost to a kill, and a reason for each rejection."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow.parquet
import pytest
import sqlalchemy as sa
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from collector.capture import Capture
from collector.imports import SOURCES, Context, Place
from remora import tables
from remora.cli import app
from remora.cli.imports import _NAMES
from remora.database import connect
from tests.import_examples import EXAMPLES, NOON, Example

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNNER = CliRunner()


def run(folder, url, *options):
    return RUNNER.invoke(app, ["import", str(folder), "--model", "m", "--database", url, *options])


def write(example: Example, folder) -> list[str]:
    for name, text in example.files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "remora.yaml").write_text(yaml.safe_dump({"version": 1, "models": {"m": example.config}}))
    return ["--config", str(folder / "remora.yaml"), *example.options]


def stored(url):
    database = connect(url)
    with database.read() as connection:
        rows = connection.execute(sa.select(tables.predictions).order_by(tables.predictions.c.id)).all()
        labels = connection.execute(sa.select(tables.labels).order_by(tables.labels.c.id)).all()
        sums = connection.execute(sa.select(sa.func.count()).select_from(tables.summaries)).scalar_one()
    database.dispose()
    return rows, labels, sums


def test_every_source_can_be_named_and_has_an_example():
    assert tuple(source.name for source in SOURCES) == _NAMES
    assert {example.source for example in EXAMPLES} == set(_NAMES)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_a_file_is_recognised_read_and_read_twice_without_effect(example: Example, tmp_path, sqlite_url):
    options = write(example, tmp_path)
    first = run(tmp_path / "files", sqlite_url, *options)
    assert (first.exit_code, first.stderr) == (0, "")
    rows, labels, sums = stored(sqlite_url)
    found = [(row.id, row.features, row.prediction, row.scores, row.latency_ms) for row in rows]
    assert found == sorted(example.rows)
    assert {row.timestamp for row in rows} == {START}
    assert [(label.id, label.label) for label in labels] == sorted(example.labels)
    again = run(tmp_path / "files", sqlite_url, *options)
    count = len(example.rows) + len(example.labels)
    assert f"0 records written, {count} there already, 0 rejected" in again.stdout
    assert stored(sqlite_url) == (rows, labels, sums)


@given(
    item=st.dictionaries(
        st.sampled_from(
            [
                "captureData", "eventMetadata", "groundTruthData", "type", "data", "time", "correlationid", "reqType",
                "bytes", "occurrenceTime", "databricks_request_id", "request", "response", "status_code",
                "timestamp_ms", "request_payload", "response_payload", "logging_time", "request_id", "trace_id",
                "timestamp", "meta_data", "columns", "id", "label", "prediction", "probability", "latency_ms",
            ]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
            | st.sampled_from([NOON, "e30=", "{}", "[1]", "azureml.inference.request", "a.request", "CSV"]),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
                st.sampled_from(["endpointInput", "data", "encoding", "eventId", "inferenceTime", "role", "name"]),
                inner, max_size=3,
            ),
            max_leaves=6,
        ),
        max_size=7,
    )
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_no_item_raises(tmp_path_factory, item):
    place = Place(tmp_path_factory.getbasetemp() / "x", 1, item)
    for make in SOURCES:
        source = make(Context(Capture("m"), when=START))
        source.recognises(item)
        for found in [source.records(item, place), *(found for _, found in source.rest())]:
            assert isinstance(found, list | str)


def test_what_is_wrong_is_told_with_its_place_and_the_rest_is_read(tmp_path, sqlite_url):
    file = tmp_path / "a.jsonl"
    good = {"id": "a", "timestamp": NOON, "age": 1}
    file.write_text(
        "\n".join(
            [
                json.dumps(good), "{", "[1]", "7", json.dumps({**good, "timestamp": "yesterday"}),
                json.dumps({"captureData": 1, "eventMetadata": 2}), json.dumps({**good, "id": "b", "status": 99}),
            ]
        )
    )  # fmt: skip
    listed = tmp_path / "rejected.jsonl"
    done = run(file, sqlite_url, "--rejected", str(listed))
    assert done.exit_code == 3
    assert "7 lines of 1 file: 1 records written, 0 there already, 6 rejected" in done.stdout
    found = [json.loads(line) for line in listed.read_text().splitlines()]
    assert [(one["line"], one["reason"]) for one in found] == [
        (2, "is not JSON"),
        (3, "is not a JSON object"),
        (4, "is not a JSON object"),
        (5, "has a time in `timestamp` that is neither RFC 3339 nor a number since 1970"),
        (6, "has no captureData or eventMetadata"),
        (7, "`status` must be an HTTP status from 100 to 599"),
    ]
    assert {one["file"] for one in found} == {str(file)}


def test_a_run_that_was_stopped_goes_on(tmp_path, sqlite_url):
    """The first half by itself stands for a kill: batches are named by what they hold, ids by their place."""
    text = [json.dumps({"timestamp": NOON, "age": n}) + "\n" for n in range(4500)]
    (tmp_path / "rows.jsonl").write_text("".join(text[:3000]))
    assert run(tmp_path / "rows.jsonl", sqlite_url).exit_code == 0
    (tmp_path / "rows.jsonl").write_text("".join(text))
    done = run(tmp_path / "rows.jsonl", sqlite_url)
    assert "1,500 records written, 3,000 there already, 0 rejected" in done.stdout
    assert len(stored(sqlite_url)[0]) == 4500


def test_halves_that_come_in_another_run_are_not_taken_for_the_same_batch(tmp_path, sqlite_url):
    example = next(one for one in EXAMPLES if one.source == "azure")
    options = write(example, tmp_path)
    alone = run(tmp_path / "files" / "model_outputs", sqlite_url, *options)
    assert "is an answer whose request is not there" in alone.stderr
    assert run(tmp_path / "files", sqlite_url, *options).exit_code == 0
    assert len(stored(sqlite_url)[0]) == 2


def test_parquet_brings_its_own_types(tmp_path, sqlite_url):
    rows = [
        {
            "id": 7, "when": START, "price": Decimal("1.50"), "raw": b"xyz",
            "day": START.date(), "parts": [1.0, 2.0], "__index_level_0__": 3,
        }
    ]  # fmt: skip
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "part-0")
    (tmp_path / "remora.yaml").write_text("version: 1\nmodels: {m: {table: {timestamp: when}}}\n")
    done = run(tmp_path / "part-0", sqlite_url, "--config", str(tmp_path / "remora.yaml"))
    assert (done.exit_code, done.stderr) == (0, "")
    (row,) = stored(sqlite_url)[0]
    assert (row.id, row.timestamp) == ("7", START)
    assert row.features == {
        "price": 1.5, "raw.bytes": 3, "day": "2026-01-01", "parts.0": 1.0, "parts.1": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", b"", (), "0 lines"),
        ("a.csv", b"a;b\n1;2\n", (), "has no time"),
        ("a.csv", b"a,a\n1,2\n", (), "has two columns named 'a'"),
        ("a.csv", b"id,time\n1,2026-01-01\n", ("--config",), "there is no column 'pid'; there are: id, time"),
        ("a.json", b"[1, 2", (), "begins like a JSON array and is none"),
        ("a.jsonl.gz", b"\x1f\x8bnothing", (), "cannot be read on"),
        ("a.parquet", b"PAR1nothing", (), "is not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_says_so_in_one_line(
    tmp_path, sqlite_url, name, content, options, message
):
    (tmp_path / name).write_bytes(content)
    config = tmp_path / "remora.yaml"
    config.write_text("version: 1\nmodels: {m: {table: {id: pid}}}\n")
    done = run(tmp_path / name, sqlite_url, *options, *([str(config)] if options else []))
    told = done.output if done.exception is None else f"{done.output}{done.exception}"
    assert message in told
    assert "Traceback" not in done.output


def test_labels_of_a_model_that_keeps_no_rows_are_rejected_and_what_is_denied_is_not_kept(
    tmp_path, sqlite_url
):
    (tmp_path / "a.csv").write_text(f"id,time,name,label\n1,{NOON},Ann,yes\n")
    config = tmp_path / "remora.yaml"
    config.write_text("version: 1\nmodels: {m: {privacy: {profiles_only: true}}}\n")
    done = run(tmp_path / "a.csv", sqlite_url, "--config", str(config))
    assert "this model keeps no rows" in done.stderr
    assert stored(sqlite_url)[0] == []
    config.write_text("version: 1\nmodels: {m: {privacy: {deny: [name]}}}\n")
    run(tmp_path / "a.csv", sqlite_url, "--config", str(config))
    (row,), (label,), _ = stored(sqlite_url)
    assert (row.features, label.label) == ({}, "yes")

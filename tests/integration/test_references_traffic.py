"""References out of stored traffic, named and numbered, by the command line as people use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from collector.store import Store, shapes_of
from detectors import reference_rows
from detectors.archiving import archive
from detectors.baselines import Baselines
from detectors.errors import ReferenceFileError
from detectors.reference_rows import Stretch
from detectors.reference_sets import find
from detectors.references import build, build_from_traffic
from remora import cli
from remora.config import parse
from remora.records import Batch, Label, Prediction
from remora.tables import reference_sets

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
CONFIG = parse(
    "version: 1\nretention: {rows: 3d}\nmodels: {m: {windows: {label_lateness: 1h, revise_for: 1h}}}"
)


def fill(database, days=12, per_day=40):
    random = np.random.default_rng(1)
    rows = [
        Prediction(
            model="m", id=f"{day}-{number}", timestamp=START + day * DAY + number * timedelta(minutes=30),
            version=f"v{number % 2}", features={"x": float(random.normal()), "city": "ab"[number % 2]},
            prediction=number % 3 == 0, scores={"true": 0.25, "false": 0.75}, status=500 if number == 7 else 200,
        )
        for day in range(days)
        for number in range(per_day)
    ]  # fmt: skip
    labels = [Label(model="m", id=row.id, label=True, timestamp=row.timestamp) for row in rows[::2]]
    Store(database, shapes_of(CONFIG)).write(
        Batch(id="b", source="t", predictions=rows, labels=labels), START
    )
    return rows


def test_a_stretch_of_traffic_is_a_reference_wherever_its_rows_are(database, tmp_path):
    fill(database)
    archive(database, CONFIG, tmp_path / "archive", now=START + 9 * DAY)  # the first days are in files now
    made = build_from_traffic(
        database,
        CONFIG,
        Stretch("m", "", START + DAY, START + 11 * DAY),
        archive=tmp_path / "archive",
        now=START,
    )
    assert (made.rows, made.windows) == (10 * 39, 10)
    assert made.source == "traffic, 2026-03-03 00:00 to 2026-03-13 00:00"
    baseline = Baselines(database, CONFIG).of("m", "v1")
    assert baseline.columns["x"].summary.count == 390
    assert baseline.columns["$score"].summary.quantiles([0.5]) == [0.25]
    assert baseline.performance.labelled == 200
    own = build_from_traffic(
        database, CONFIG, Stretch("m", "v0", START, START + 12 * DAY), archive=tmp_path / "archive", now=START
    )
    assert own.rows == 12 * 20


def test_of_long_stretches_the_same_rows_are_drawn_each_time(sqlite_database, monkeypatch):
    fill(sqlite_database)
    monkeypatch.setattr(reference_rows, "MOST_ROWS", 100)
    stretch = Stretch("m", "", START, START + 12 * DAY)
    first, second = (
        build_from_traffic(sqlite_database, CONFIG, stretch, archive=None, now=START) for _ in range(2)
    )
    assert first.rows == second.rows
    assert 60 < first.rows < 140
    assert "20.8% of the rows" in first.source


def test_an_archived_file_is_a_reference_file(sqlite_database, tmp_path):
    fill(sqlite_database)
    archive(sqlite_database, CONFIG, tmp_path / "archive", now=START + 9 * DAY)
    path = next((tmp_path / "archive").rglob("*.parquet"))
    made = build(sqlite_database, CONFIG, model="m", version="", path=path, now=START)
    assert set(Baselines(sqlite_database, CONFIG).of("m", "").columns) == {"x", "city", "$prediction"}
    assert made.rows == 40


def test_a_stretch_without_rows_is_a_mistake(sqlite_database):
    stretch = Stretch("m", "v9", START, START + DAY)
    with pytest.raises(ReferenceFileError, match="no rows of m version v9 are kept from 2026-03-02 00:00"):
        build_from_traffic(sqlite_database, CONFIG, stretch, archive=None, now=START)


@pytest.fixture
def remora(sqlite_database, sqlite_url, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main([*words, "--database", sqlite_url])
        said = capsys.readouterr()
        return ended.value.code, (said.out + said.err).rstrip().splitlines()

    return run


def test_people_build_list_show_and_activate(remora, sqlite_database):
    fill(sqlite_database)
    assert remora("reference", "list") == (
        0,
        ["there is no reference yet: `remora reference build` makes one"],
    )
    span = ("--from", "2026-03-02", "--to", "2026-03-05T00:00:00Z")
    for name in ("spring", "spring", "default"):
        code, said = remora("reference", "build", "--model", "m", "--name", name, *span)
        assert code == 0
        assert said[0].startswith("reference of m: 117 rows, 5 columns from traffic, 2026-03-02 00:00")
        (thresholds,) = said[1:]
        assert thresholds.startswith("thresholds: the customary ones; to learn them 8 windows of 1d")
        assert thresholds.endswith("and it has 3: take rows of a longer time")
    code, said = remora("reference", "list", "--model", "m")
    assert [line[0] for line in said] == [" ", " ", "*"]
    assert ["spring@1" in said[0], "spring@2" in said[1], "default@1" in said[2]] == [True] * 3
    assert remora("reference", "activate", "spring") == (0, ["spring@2 is the reference of m"])
    code, said = remora("reference", "show", "spring@2")
    assert said[0].endswith("spring@2  active")
    assert {"kind: window", "engine: local", "from: 2026-03-02T00:00:00+00:00"} <= set(said)
    assert any(
        line.split()
        == [
            "city",
            "categorical",
            "117",
            "values,",
            "0",
            "missing,",
            "about",
            "2",
            "categories,",
            "explains",
            "0.0",
            "%",
            "of",
            "the",
            "score",
        ]
        for line in said
    )
    with sqlite_database.read() as connection:
        active = (
            connection.execute(sa.select(reference_sets.c.name).where(reference_sets.c.active))
            .scalars()
            .all()
        )
    assert active == ["spring"]
    assert find(sqlite_database, said[0].split()[0][:24]).name == "spring"


def test_the_thresholds_and_what_they_would_have_done_are_shown_before_they_go_live(remora, tmp_path):
    random, days = np.random.default_rng(5), 30
    day = np.arange(6000) % days
    frame = pd.DataFrame({"x": random.normal(size=6000) + 3.0 * (day == 12)})
    frame["timestamp"] = [f"2026-04-{1 + number:02d}T10:00:00Z" for number in day]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    code, said = remora("reference", "build", "--model", "m", "--file", "rows.csv")
    assert (code, said[1:]) == (
        0,
        [
            "thresholds: learnt from its own 30 windows of 1d, with 1 false alarm in 30 days allowed",
            "  in its own 30 days they would have raised 1 alarm; 1.0 are allowed",
            "  x: beyond its threshold in 1 window",
        ],
    )
    assert set(said[1:]) < set(remora("reference", "show", "default")[1])


MISTAKES = {
    "no source": (["build", "--model", "m"], "give either --file, or --from and --to"),
    "half a stretch": (["build", "--model", "m", "--from", "2026-03-02"], "--to is missing"),
    "no instant": (
        ["build", "--model", "m", "--from", "spring", "--to", "2026-03-02"],
        "'spring' is no instant",
    ),
    "backwards": (["build", "--model", "m", "--from", "2026-03-03", "--to", "2026-03-02"], "must lie after"),
    "unknown": (["show", "spring"], "there is no reference spring"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line(remora, what):
    words, said = MISTAKES[what]
    code, lines = remora("reference", *words)
    assert (code, len(lines)) == (2, 1)
    assert said in lines[0]

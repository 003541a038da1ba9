"""Sidecars, straight and through a server, say how they fare; what they lost becomes a finding of the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from collector.reporting import Reporter
from collector.ring import DROPPED_FULL, Ring
from collector.sinks import DatabaseSink, HttpSink
from collector.spool import Spool, to_batch
from detectors.jobs import run_due
from remora import __version__, tables
from remora.config import Config
from remora.records import Batch, CollectorReport, PersonalField, Prediction
from tests.sidecar_world import wait_for

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def collectors(database):
    with database.read() as connection:
        return connection.execute(sa.select(tables.collectors).order_by(tables.collectors.c.id)).all()


def findings(database, metric):
    with database.read() as connection:
        found = tables.findings
        return connection.execute(sa.select(found).where(found.c.metric == metric, found.c.latest)).all()


def test_the_newest_word_of_each_is_kept_and_the_silent_go(database):
    now = [NOON]
    sink = DatabaseSink(database, {}, lambda: now[0])
    one = CollectorReport(id="a", host="h", model="m", version="1", started_at=NOON, counters={"lost": 0})
    sink.report([one, CollectorReport(id="b", host="h", model="", version="1", started_at=NOON, counters={})])
    now[0] += timedelta(days=31)
    sink.report(
        [CollectorReport(id="a", host="h", model="m", version="2", started_at=NOON, counters={"lost": 2.5})]
    )
    (row,) = collectors(database)
    assert (row.id, row.version, row.seen_at, row.counters) == ("a", "2", now[0], {"lost": 2.5})


def test_losses_and_personal_fields_become_findings_of_their_window(database, tmp_path):
    spool = Spool(tmp_path)
    sink = DatabaseSink(database, {}, lambda: NOON)
    rows = [Prediction(model="m", id=f"p{n}", timestamp=NOON) for n in range(6)]
    personal = [PersonalField(model="m", feature="contact", looks_like="email", at=NOON)]
    sink.write(Batch(id="b", source="s", predictions=rows, personal=personal))
    Reporter(spool, lambda: {"dropped_full": 2}, lambda: NOON, model="m").note_losses()
    sink.write(to_batch(spool.seal(10), "s"))
    spool.close()
    late = NOON + timedelta(days=3)
    while run_due(database, Config(), now=late, wall=late, owner="t"):
        pass
    lost = {row.window_start: (row.value, row.size) for row in findings(database, "capture_lost") if row.size}
    assert lost == {NOON.replace(hour=0): (0.25, 8)}
    (found,) = findings(database, "personal_data")
    assert (found.feature, found.value, found.verdict, found.window_start) == (
        "contact", 1.0, "alarm", NOON.replace(hour=0),
    )  # fmt: skip
    with database.read() as connection:
        assert connection.execute(sa.select(tables.versions.c.version)).scalars().all() == [""]


def test_a_sidecar_that_lost_something_says_so_through_another_collector(
    tmp_path, start, sqlite_database, sqlite_url
):
    """Two real sidecars: the second one stands for the server that the first one sends to."""
    gateway = start("--database", sqlite_url, "--spool", str(tmp_path / "gateway")).ready()
    edge = start("--forward", f"{gateway.url}/remora", "--spool", str(tmp_path / "edge")).ready()
    ring = Ring.attach(tmp_path / "edge")
    ring.counts[DROPPED_FULL] += 5
    ring.close()

    def lost():
        found = tables.summaries.c
        query = sa.select(sa.func.count()).select_from(tables.summaries).where(found.column_name == "$lost")
        with sqlite_database.read() as connection:
            return connection.execute(query).scalar_one()

    wait_for(lost, "the losses")
    assert edge.stop() == 0
    wait_for(lambda: len(collectors(sqlite_database)) == 2, "both reports")
    assert gateway.stop() == 0
    rows = collectors(sqlite_database)
    assert {row.version for row in rows} == {__version__}
    assert sorted(row.counters["lost"] for row in rows) == [0, 5]
    assert {row.counters["running"] for row in rows} == {0}


def test_a_collector_that_knows_no_reports_is_left_alone():
    import httpx

    sink = HttpSink("http://old", None, httpx.MockTransport(lambda _: httpx.Response(404)))
    sink.report([])
    sink.close()

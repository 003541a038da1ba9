"""Evidently reports: made for the right alerts, once, in a process that may fail without harm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from dashboards import reports as reports_module
from dashboards.report_child import Child
from dashboards.reports import ReportWorker
from remora import tables
from remora.config import Config
from tests.example_year import DAY, START, alert, fill, put
from tests.sidecar_world import wait_for

NOW = START + 230 * DAY


@pytest.fixture
def worker(database, tmp_path):
    fill(database, judged=False)
    made = ReportWorker(database, tmp_path / "reports", Config())
    yield made
    made.close()


@pytest.fixture
def fake_child(worker):
    """The process beside, without Evidently: writes a word, or fails as it is told."""

    class Fake(Child):
        error = None

        def make(self, job, timeout):
            if self.error:
                raise reports_module.ReportError(self.error)
            Path(job["path"]).write_text("made")

    worker.child = Fake(1)
    return worker.child


def rows(database):
    with database.read() as connection:
        return connection.execute(tables.reports.select().order_by(tables.reports.c.window_start)).all()


def drain(worker, now=NOW, wall=NOW):
    count = 0
    while worker.run_once(now, wall):
        count += 1
        assert count < 50
    return count


def test_evidently_reports_drift_and_performance_of_the_alerts_window(database, worker):
    assert worker.run_once(NOW, NOW) == 1
    (row,) = [row for row in rows(database) if row.state == "done"]
    assert (row.alert_id, row.window_start, row.rows, row.error) == ("a5", START + 204 * DAY, 400, None)
    text = (worker.folder / row.path).read_text()
    assert "carrier" in text
    assert "Accuracy" in text, "labels are there, so performance is reported"
    assert not list(worker.folder.glob("*.part"))


def test_only_drift_and_performance_alerts_get_a_report_and_a_window_gets_one(database, worker, fake_child):
    window = {"window_start": START + 204 * DAY, "window_end": START + 205 * DAY}
    put(database, tables.alerts, [
        alert("b1", "FeatureDrift", "psi", "firing", 205, None, labels={"feature": "dest"}, **window),
        alert("b2", "Slow", "latency_p95", "firing", 206, None),
        alert("b3", "Odd", "no_such_metric", "firing", 206, None),
    ])  # fmt: skip
    drain(worker)
    found = rows(database)
    assert [row.window_start for row in found] == [START + 175 * DAY, START + 204 * DAY]
    assert found[1].state == "done"
    assert (found[0].state, found[0].error) == ("failed", "no raw rows of this window are kept")
    assert drain(worker) == 0


def test_a_flood_of_alarms_makes_a_few_reports(database, worker, fake_child):
    put(
        database,
        tables.alerts,
        [alert(f"f{day}", "Flood", "psi", "firing", day, None) for day in range(206, 226)],
    )
    drain(worker)
    flood = [row for row in rows(database) if row.alert_id.startswith("f")]
    assert len(flood) == reports_module.MAX_PER_RULE


def test_a_report_whose_server_was_killed_is_made_after_the_lease(database, worker, fake_child):
    put(database, tables.reports, [
        {"id": "r0", "model": "flights", "version": "", "window_start": START + 204 * DAY,
         "window_end": START + 205 * DAY, "alert_id": "a5", "state": "running", "requested_at": NOW,
         "lease_until": NOW + timedelta(seconds=60)},
    ])  # fmt: skip
    drain(worker)
    assert {row.id: row.state for row in rows(database)}["r0"] == "running"
    drain(worker, wall=NOW + timedelta(seconds=61))
    assert {row.id: row.state for row in rows(database)}["r0"] == "done"


def test_a_report_that_was_under_way_when_the_server_stopped_is_wanted_again(database, worker, fake_child):
    put(database, tables.reports, [
        {"id": "r0", "model": "flights", "version": "", "window_start": START + 204 * DAY,
         "window_end": START + 205 * DAY, "alert_id": "a5", "state": "wanted", "requested_at": NOW},
    ])  # fmt: skip

    begun = []

    def killed(job, timeout):
        begun.append(Path(job["path"]).stem)
        worker.close()
        raise reports_module.ReportError("the process ended")

    fake_child.make = killed
    drain(worker)
    assert begun == ["r0"]
    assert {row.id: (row.state, row.lease_until) for row in rows(database)}["r0"] == ("wanted", None)


def test_a_report_that_ends_its_makers_is_given_up(database, worker, fake_child):
    put(database, tables.reports, [
        {"id": "r0", "model": "flights", "version": "", "window_start": START + 204 * DAY,
         "window_end": START + 205 * DAY, "alert_id": "a5", "state": "running", "requested_at": NOW,
         "lease_until": NOW + timedelta(seconds=60)},
    ])  # fmt: skip
    drain(worker, wall=NOW + timedelta(minutes=31))
    assert {row.id: (row.state, row.error) for row in rows(database)}["r0"] == (
        "failed", "it was begun several times and never done",
    )  # fmt: skip


def test_a_model_without_reference_says_so(database, worker, fake_child):
    with database.write() as connection:
        connection.execute(tables.reference_sets.update().values(active=False))
    drain(worker)
    assert {row.error for row in rows(database)} == {"flights has no reference to compare with"}


def test_a_process_that_dies_or_dawdles_is_an_error_and_the_next_job_gets_a_new_one(tmp_path):
    child = Child(4 << 30)
    first = child._running().pid
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(reports_module.ReportError, match="took longer than 0 s"):
        child.make({}, 0.2)
    second = child._running()
    assert second.pid != first
    second.kill()
    second.wait()
    with pytest.raises(reports_module.ReportError, match="Evidently failed"):
        child.make({"reference": [], "current": [], "kind": "binary", "path": str(tmp_path / "x.html")}, 60)
    assert not list(tmp_path.iterdir())
    child.close()


def test_a_process_without_enough_memory_is_an_error(tmp_path):
    child = Child(300 << 20)
    job = {
        "reference": [{"a": 1.0}] * 50,
        "current": [{"a": 2.0}] * 50,
        "kind": "binary",
        "path": str(tmp_path / "x.html"),
    }
    with pytest.raises(reports_module.ReportError, match=r"memory|Evidently failed"):
        child.make(job, 60)
    child.close()


def test_the_process_can_open_no_connection_and_has_a_home_of_its_own():
    code = (
        "import socket, dashboards.report_process as p; p._refuse_network()\n"
        "try: socket.create_connection(('127.0.0.1', 9), 1)\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "must not open a connection" in done.stdout
    child = Child(4 << 30)
    started = Path(f"/proc/{child._running().pid}/environ")
    environment = wait_for(started.read_text, "the process to be there")  # empty until it is more than a fork
    child.close()
    assert "DO_NOT_TRACK=1" in environment
    assert "REMORA_" not in environment


def test_rankings_and_texts_have_sections_of_their_own(tmp_path):
    random = np.random.default_rng(5)
    words = [
        "the",
        "flight",
        "to",
        "the",
        "coast",
        "was",
        "late",
        "because",
        "of",
        "snow",
        "on",
        "the",
        "runway",
        "and",
        "a",
        "missing",
        "crew",
    ]
    letters = list("abcdefghijklmnopqrst")

    def lists(count):
        return [{"age": float(random.normal(40, 5)), "prediction": list(random.permutation(letters)[:12]),
                 "label": [str(one) for one in random.choice(letters, 3)]} for _ in range(count)]  # fmt: skip

    def texts(count):
        return [{"body": " ".join(random.choice(words, 8)), "score": random.random()} for _ in range(count)]

    child = Child(4 << 30)
    try:
        for kind, draw, shown in (
            ("ranking", lists, ["NDCG", "age"]),
            ("binary", texts, ["body: sentences", "body: words"]),
        ):
            path = tmp_path / f"{kind}.html"
            child.make({"reference": draw(120), "current": draw(90), "kind": kind, "path": str(path)}, 60)
            assert all(name in path.read_text() for name in shown), kind
    finally:
        child.close()

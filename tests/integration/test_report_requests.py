"""Reports that somebody asks for, by API and terminal, and those of a schedule."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from dashboards import report_api, report_requests
from dashboards.errors import ReportError
from dashboards.report_child import Child
from dashboards.reports import ReportWorker
from remora import cli, tables
from remora.config import Config, parse
from remora.security import Guard
from tests.example_server import app_of, serving
from tests.example_year import DAY, START, fill, finding, put

TOKEN = "a token of the test"
NOW = START + 230 * DAY
WINDOW = {"model": "flights", "start": "2013-09-21", "end": "2013-09-22"}


class Fake(Child):
    """The process beside, without Evidently."""

    error = None

    def make(self, job, timeout):
        if self.error:
            raise ReportError(self.error)
        Path(job["path"]).write_text("made")


@pytest.fixture
def worker(sqlite_database, tmp_path):
    fill(sqlite_database, judged=False)
    with sqlite_database.write() as connection:  # nothing but what is asked for
        connection.execute(tables.alerts.delete())
    made = ReportWorker(sqlite_database, tmp_path / "reports", Config())
    made.child = Fake(1)
    return made


@pytest.fixture
def server(worker):
    app = app_of(worker.database.only_reading(), worker.folder, guard=Guard(TOKEN, worker.database))
    app.include_router(report_api.router(worker.database, Guard(TOKEN, worker.database), lambda: NOW))
    with serving(app) as base:
        yield base


@pytest.fixture
def ask(server):
    def post(headers=None, **body):
        shown = {"authorization": f"Bearer {TOKEN}"} | (headers or {})
        return httpx.post(f"{server}/v1/reports", json=WINDOW | body, headers=shown)

    return post


def state_of(server, report_id):
    shown = {"authorization": f"Bearer {TOKEN}"}
    return httpx.get(f"{server}/v1/reports/{report_id}", headers=shown).json()["state"]


def test_a_report_is_asked_for_once_made_and_shown(ask, server, worker):
    first = ask()
    assert first.status_code == 202
    assert (first.json()["state"], first.json()["alert_id"]) == ("wanted", None)
    assert ask().json()["id"] == first.json()["id"]
    assert worker.run_once(NOW, NOW) == 1
    assert ask().json()["state"] == "done", "one that is there is not made again"
    shown = httpx.get(
        f"{server}/reports/{first.json()['id']}/document", headers={"authorization": f"Bearer {TOKEN}"}
    )
    assert shown.text == "made"


def test_beside_a_report_stands_where_to_look_first(ask, server, worker):
    report = ask().json()["id"]
    page = f"{server}/reports/{report}"
    shown = {"authorization": f"Bearer {TOKEN}"}
    assert "Where to look first" not in httpx.get(page, headers=shown).text
    ranked = {"causes": [{"feature": "dep_delay", "share": 0.71, "influence": 0.5}]}
    put(worker.database, tables.findings, [finding("flights", 204, "auc", 0.7, details=ranked)])
    assert "dep_delay moved: likely 71 % of the score&#39;s movement" in httpx.get(page, headers=shown).text


def test_one_that_failed_or_has_more_labels_is_made_again(ask, server, worker):
    worker.child.error = "Evidently failed: ValueError"
    report = ask().json()["id"]
    worker.run_once(NOW, NOW)
    assert state_of(server, report) == "failed"
    worker.child.error = None
    assert ask().json()["state"] == "wanted"
    worker.run_once(NOW, NOW)
    assert ask(again=True).json() | {"requested_at": ""} == ask().json() | {"requested_at": ""}
    assert state_of(server, report) == "wanted"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"model": "nobody"}, 404, "there is no model 'nobody'"),
        ({"start": "2013-09-23"}, 400, "`start` must lie before `end`, by at most 366 days"),
        ({"start": "2011-09-21"}, 400, "by at most 366 days"),
        ({"start": "yesterday"}, 400, "`start` is not a time: write 2013-03-01"),
        ({"window": "1d"}, 422, "window"),
        ({"model": ""}, 422, "model"),
    ],
)
def test_what_cannot_be_reported_is_said(ask, body, status, said):
    answer = ask(**body)
    assert answer.status_code == status
    assert said in answer.text


def test_it_needs_the_right_to_write_and_a_page_of_this_site(ask, server):
    assert httpx.post(f"{server}/v1/reports", json=WINDOW).status_code == 401
    assert ask({"sec-fetch-site": "cross-site"}).status_code == 403
    missing = httpx.get(f"{server}/v1/reports/none", headers={"authorization": f"Bearer {TOKEN}"})
    assert (missing.status_code, missing.json()["error"]) == (404, "there is no such report")


def test_nobody_fills_the_queue(ask):
    for day in range(report_requests.MOST_WAITING):
        at = START + day * DAY
        assert ask(start=at.isoformat(), end=(at + DAY).isoformat()).status_code == 202
    full = ask()
    assert (full.status_code, full.headers["retry-after"]) == (429, "30")
    at = START + DAY
    known = ask(start=at.isoformat(), end=(at + DAY).isoformat())
    assert known.status_code == 202, "one that waits already is no more work"


# --- from a terminal


@pytest.fixture
def remora(server, capsys):
    def run(*arguments, code=0):
        with pytest.raises(SystemExit) as ended:
            cli.main(["report", *arguments, "--server", server, "--token", TOKEN])
        said = capsys.readouterr()
        assert ended.value.code == code, said.err
        assert said.err.count("\n") == (1 if code else 0)
        return said.err if code else said.out

    return run


ASKED = ("request", "--model", "flights", "--from", "2013-09-21", "--to", "2013-09-22")


def test_a_terminal_asks_waits_and_writes_the_file(remora, worker, tmp_path):
    assert ": wanted; see http" in remora(*ASKED)
    maker = threading.Timer(1.5, worker.run_once, (NOW, NOW))
    maker.start()
    out = tmp_path / "report.html"
    assert remora(*ASKED, "--out", str(out)) == f"{out}: flights, 400 rows of the window\n"
    maker.join()
    assert out.read_text() == "made"
    assert "done" in remora("list")
    (row,) = rows(worker.database)
    remora("fetch", row.id, "--out", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_text() == "made"
    assert "cannot write" in remora("fetch", row.id, "--out", str(tmp_path / "no" / "x.html"), code=2)


def test_a_terminal_says_why_there_is_none(remora, worker):
    day = ("request", "--model", "flights", "--from", "2013-03-05", "--to", "2013-03-06")
    remora(*day)
    worker.run_once(NOW, NOW)
    (row,) = rows(worker.database)
    said = remora("fetch", row.id, "--out", "x.html", code=2)
    assert f"{row.id} is failed: no raw rows of this window are kept" in said
    assert "is not made yet" in remora(*ASKED, "--out", "x.html", "--wait", "1", code=1)
    assert "there is no model 'nobody'" in remora("request", "--model", "nobody", "--from", "2013-01-01", "--to", "2013-01-02",
                                                  code=2)  # fmt: skip


# --- on schedule


def rows(database):
    with database.read() as connection:
        return connection.execute(tables.reports.select().order_by(tables.reports.c.window_start)).all()


def test_a_schedule_wants_each_week_once_when_its_labels_had_time_to_come(worker):
    worker.config = parse(
        "version: 1\nmodels:\n  flights: {reports: {every: 7d}, windows: {label_lateness: 2d}}", "t"
    )
    monday = START.replace(month=9, day=16)
    assert monday.weekday() == 0
    for late in (timedelta(days=1), timedelta(days=2), timedelta(days=8)):
        worker.run_once(monday + late, NOW)
    found = rows(worker.database)
    assert [(row.window_start, row.window_end) for row in found] == [
        (monday - 14 * DAY, monday - 7 * DAY),
        (monday - 7 * DAY, monday),
    ]
    assert {row.alert_id for row in found} == {None}


def test_a_model_that_saw_nothing_gets_no_report(worker):
    worker.config = parse("version: 1\nmodels:\n  flights: {reports: {every: 1d}}", "t")
    put(worker.database, tables.models, [{"name": "other", "first_seen": START, "last_seen": START}])
    assert worker.run_once(START - DAY, NOW) == 0
    assert rows(worker.database) == []

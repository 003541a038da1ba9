"""The voyage end to end: interrupted, continued, its processes killed, and every count right at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import sync_playwright

from remora import tables as t
from remora.database import connect
from remora.summaries import merge_encoded

pytestmark = [pytest.mark.voyage, pytest.mark.browser, pytest.mark.timeout(600)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
FIRST, LAST, DAYS = date(2013, 3, 1), date(2013, 3, 22), 22
KILLS = {
    "2013-03-05": ["sidecar"],
    "2013-03-08": ["recorder"],
    "2013-03-11": ["server"],
    "2013-03-14": ["sidecar", "server"],
}


class Voyage:
    """`remora demo` as a person runs it, in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "voyage"
        self.output = folder / "output"
        self.config = folder / "remora.yaml"
        # So eager a rule that the short voyage has its model update too.
        rules = (EXAMPLE / "remora.yaml").read_text()
        rules = rules.replace('condition: "< 0.61"', 'condition: "< 0.75"').replace(
            "windows: 7 of 10", "windows: 3 of 5"
        )
        self.config.write_text(rules)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.listen = f"127.0.0.1:{probe.getsockname()[1]}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "remora", "demo", "--until", str(LAST), "--folder", str(self.folder),
                   "--listen", self.listen, "--config", str(self.config)]  # fmt: skip
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def said(self) -> str:
        return self.output.read_text()

    def next_day(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.folder / "log.json").read_text())["next_day"]
        return ""

    def until(self, what, seconds=240) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def pid_of(self, name: str) -> int:
        pids = json.loads((self.folder / "pids.json").read_text())
        if name != "recorder":
            return pids[name]
        children = Path(f"/proc/{pids['sidecar']}/task/{pids['sidecar']}/children").read_text().split()
        (recorder,) = [
            int(child)
            for child in children
            if b"collector.recorder" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        return recorder

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def voyage(tmp_path_factory):
    """Interrupted once, continued, with somebody killed now and then; the pages are still up."""
    sailing = Voyage(tmp_path_factory.mktemp("voyage"))
    sailing.start()
    try:
        sailing.until(lambda: sailing.next_day() >= "2013-03-03")
        assert sailing.interrupt() == 130
        assert "Stopped." in sailing.said()
        sailing.start()
        for day, names in KILLS.items():
            sailing.until(lambda day=day: sailing.next_day() >= day)
            for name in names:
                os.kill(sailing.pid_of(name), signal.SIGKILL)
        sailing.until(lambda: "The pages stay up" in sailing.said())
        yield sailing
        assert sailing.interrupt() == 0
    finally:
        if sailing.process.poll() is None:
            sailing.process.kill()
            sailing.process.wait()


@pytest.fixture(scope="module")
def rows(voyage):
    database = connect(f"sqlite:///{voyage.folder / 'remora.db'}")

    def read(query):
        with database.read() as connection:
            return connection.execute(query).all()

    yield read
    database.dispose()


@pytest.fixture(scope="module")
def asked():
    """What was to be asked: the number of rows, and the number of labels that came."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        from data import flights
        from replay import hours

        plan = list(hours(flights(), FIRST, LAST))
    finally:
        sys.path.remove(str(EXAMPLE))
    return sum(request.rows for hour in plan for request in hour.requests), sum(
        len(hour.labels) for hour in plan
    )


def answered(voyage) -> set[str]:
    ids = set()
    for line in (voyage.folder / "answered.tsv").read_text().splitlines():
        name, _, count = line.partition("\t")
        ids.update([f"{name}-{i}" for i in range(int(count))] if count else [name])
    return ids


def test_it_says_that_it_continues_and_who_fell(voyage):
    said = voyage.said()
    assert "Continuing the voyage" in said
    assert said.count("the sidecar was ended by SIGKILL and is started again") == 2
    assert said.count("the server was ended by SIGKILL and is started again") == 2


def test_every_answered_prediction_is_there_once_and_none_is_invented(voyage, rows, asked):
    # An attempt that was cut off before its answer is recorded under an id of its own, and made again.
    attempts = rows(sa.select(t.predictions.c.id, t.predictions.c.status, t.predictions.c.tags))
    found = {id_: status for id_, status, tags in attempts if "remora.attempt" not in tags}
    assert {id_ for id_, status in found.items() if status == 200} == answered(voyage)
    assert len(found) == asked[0]
    assert set(found.values()) == {200, 500}


def test_every_label_is_there_and_joined(rows, asked):
    assert rows(sa.select(sa.func.count(), sa.func.sum(sa.cast(t.labels.c.joined, sa.Integer)))) == [
        (asked[1], asked[1])
    ]


def test_the_summaries_count_what_the_rows_count(rows):
    def merged(column):
        chosen = (t.summaries.c.column_name == column) & (t.summaries.c.segment == "")
        return merge_encoded(row.data for row in rows(sa.select(t.summaries.c.data).where(chosen)))

    statuses = Counter(
        dict(rows(sa.select(t.predictions.c.status, sa.func.count()).group_by(t.predictions.c.status)))
    )
    assert merged("$traffic").by_status == statuses
    labelled = sa.select(sa.func.count()).select_from(t.labels.join(
        t.predictions, (t.labels.c.id == t.predictions.c.id) & (t.labels.c.model == t.predictions.c.model)))  # fmt: skip
    assert merged("$performance").labelled == rows(labelled.where(t.predictions.c.status == 200))[0][0]
    assert merged("distance").count == statuses[200]


def test_every_window_was_judged_once(rows):
    runs = sa.select(t.job_runs.c.job, t.job_runs.c.state, sa.func.count()).where(t.job_runs.c.model != "")
    counted = rows(runs.group_by(t.job_runs.c.job, t.job_runs.c.state))
    jobs = [name for job in ("traffic", "drift", "performance") for name in (job, f"rules.{job}")]
    assert sorted(counted) == sorted((job, "done", DAYS) for job in jobs)
    key = [
        t.findings.c[name] for name in ("model", "version", "segment", "metric", "feature", "window_start")
    ]
    twice = sa.select(*key).where(t.findings.c.latest).group_by(*key).having(sa.func.count() > 1)
    assert rows(twice) == []


def test_the_incident_was_seen_escalated_and_resolved(rows):
    alerts = {
        row.rule: row
        for row in rows(sa.select(t.alerts).where(t.alerts.c.rule.in_(["ErrorsHigh", "LatencyHigh"])))
    }
    for rule in ("ErrorsHigh", "LatencyHigh"):
        assert alerts[rule].fired_at == datetime(2013, 3, 21, tzinfo=UTC)
        assert alerts[rule].resolved_at == datetime(2013, 3, 22, tzinfo=UTC)
    (incident,) = rows(sa.select(t.incidents).where(t.incidents.c.plan == "model-is-down"))
    assert incident.state == "resolved"
    steps = rows(
        sa.select(t.plan_steps.c.kind, t.plan_steps.c.state).where(t.plan_steps.c.incident_id == incident.id)
    )
    assert Counter(steps) == {("notify", "done"): 2, ("checklist", "done"): 1, ("wait", "done"): 1}


def test_the_model_was_updated_once_and_the_new_version_is_watched(rows):
    (action,) = rows(sa.select(t.actions))
    assert action.state == "succeeded"
    versions = [
        row.version for row in rows(sa.select(t.versions).order_by(t.versions.c.first_seen)) if row.version
    ]
    assert versions == ["2013-01..02", action.model_version]
    judged = sa.select(sa.func.count()).where(
        t.findings.c.version == action.model_version, t.findings.c.metric == "auc"
    )
    assert rows(judged)[0][0] > 10


def test_every_message_arrived(voyage, rows):
    deliveries = rows(sa.select(t.deliveries))
    assert {row.state for row in deliveries} == {"delivered"}
    received = Counter(
        json.loads(line)["kind"] for line in (voyage.folder / "messages.jsonl").read_text().splitlines()
    )
    sent = Counter(row.receiver for row in deliveries)
    assert received["slack"] >= sent["chat"] > 5
    assert received["pager"] >= sent["pager"] > 0


def test_each_report_is_a_page_of_its_own(voyage, rows):
    reports = rows(sa.select(t.reports))
    assert {row.state for row in reports} == {"done"}
    assert len(reports) >= 2
    for report in reports:
        assert "Data Drift" in (voyage.folder / "reports" / report.path).read_text()


def test_the_pages_show_the_voyage(voyage, rows):
    base = f"http://{voyage.listen}"
    (action,) = rows(sa.select(t.actions))
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=arguments
        )
        page = browser.new_page()
        errors, requests = [], []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(base)
        page.get_by_role("link", name="flights").first.click()
        page.wait_for_url(f"{base}/models/flights*")
        page.wait_for_selector(".js-plotly-plot")
        body = page.inner_text("body")
        assert action.model_version in body
        assert "QualityLow" in body
        page.get_by_role("link", name="Incidents", exact=True).click()
        page.get_by_role("link", name="predictions for flights fail").click()
        assert "notify pager" in page.inner_text("body")
        browser.close()
    assert errors == []
    assert all(url.startswith((base, "data:", "blob:")) for url in requests)


def test_a_port_in_use_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "remora",
            "demo",
            "--exit",
            "--folder",
            str(tmp_path / "v"),
            "--listen",
            where,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"remora demo: the pages cannot listen on {where}: choose another place, such as --listen 127.0.0.1:8081\n"
    )


def test_two_voyages_in_one_folder_are_refused(voyage):
    command = [
        sys.executable,
        "-m",
        "remora",
        "demo",
        "--exit",
        "--folder",
        str(voyage.folder),
        "--listen",
        "127.0.0.1:0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "another voyage is under way" in done.stderr
    assert done.stderr.count("\n") == 1

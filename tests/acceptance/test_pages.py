"""Every page in Chromium, with a year of data: the numbers are the database's, nothing leaves the host, no error."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from remora import schema, tables
from remora.catalogue import show
from remora.config import parse
from remora.database import connect
from tests.example_server import app_of, serving
from tests.example_year import DAY, FEATURES, START, alert, fill, finding, put

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
HOSTILE = '<script>alert("x")</script>'
PAGES = [
    "/", "/?range=all", "/models/flights", "/models/flights?range=90d", "/models/flights/features/carrier",
    "/models/flights/features/temp?range=all", "/models/flights/features/%24score", "/alerts", "/alerts?state=firing",
    "/alerts/a5", "/alerts/h1", "/incidents", "/incidents/i1", "/incidents/i2", "/deliveries", "/reports", "/reports/r1",
]  # fmt: skip
CONFIG = parse("""
version: 1
receivers: {hook: {kind: webhook, url: "http://127.0.0.1:1/"}}
plans:
  - name: drift
    runbook_url: https://wiki.example/drift
    steps: [{notify: hook}, {wait: 15m}, {checklist: [look]}]
""")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    opened = connect(f"sqlite:///{folder / 'remora.db'}")
    schema.prepare(opened)
    fill(opened)
    put(opened, tables.models, [{"name": HOSTILE, "first_seen": START, "last_seen": START + DAY}])
    put(
        opened,
        tables.versions,
        [{"model": HOSTILE, "version": HOSTILE, "first_seen": START, "last_seen": START + DAY}],
    )
    put(opened, tables.findings, [
        finding(HOSTILE, 0, "predictions", 5.0), finding(HOSTILE, 0, "psi", 0.5, feature=HOSTILE, reason=HOSTILE)])  # fmt: skip
    put(opened, tables.alerts, [alert("h1", "Odd", "psi", "firing", 2, None, model=HOSTILE,
                                      annotations={"summary": HOSTILE}, labels={"feature": HOSTILE})])  # fmt: skip
    put(opened, tables.reports, [
        {"id": "r1", "model": "flights", "version": "", "window_start": START + 204 * DAY,
         "window_end": START + 205 * DAY, "alert_id": "a5", "state": "done", "path": "r1.html", "rows": 400,
         "requested_at": START, "finished_at": START},
    ])  # fmt: skip
    put(opened, tables.reports, [
        {"id": "r2", "model": "flights", "version": "", "window_start": START, "window_end": START + DAY,
         "alert_id": None, "state": "failed", "error": "no raw rows of this window are kept", "requested_at": START},
    ])  # fmt: skip
    (folder / "r1.html").write_text(
        "<!DOCTYPE html><html><body><script>document.body.append('scripted')</script></body></html>"
    )
    opened.folder = folder
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def server(database):
    app = app_of(database.only_reading(), database.folder, config=CONFIG)
    app.acknowledged = []

    @app.post("/v1/incidents/{incident_id}/acknowledge")  # stands in for the alerts' API
    def acknowledge(incident_id: str, body: dict):
        app.acknowledged.append((incident_id, body))
        with database.write() as connection:
            connection.execute(tables.incidents.update().where(tables.incidents.c.id == incident_id).values(
                state="acknowledged", acknowledged_by=body["by"], acknowledged_at=START + 206 * DAY))  # fmt: skip
        return {}

    with serving(app) as base:
        yield base, app


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, server):
    """Opens a path; at the end no page may have had an error or asked another host."""
    contexts, wrong = [], []

    def opening(path, *, status=200, width=1280, scheme="light", scripts=True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None,
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append("a script of the data ran"))
        page.on("request", lambda request: None if request.url.startswith((server[0], "data:", "blob:"))
                else wrong.append(f"asked {request.url}"))  # fmt: skip
        answer = page.goto(server[0] + path)
        assert answer.status == status, path
        page.wait_for_load_state("networkidle")
        if status != 200:
            wrong.clear()  # Chromium reports the status itself
        return page

    yield opening
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_itself_without_error_at_both_widths_in_both_schemes(open_page, path, tmp_path):
    for width, scheme in ((1280, "light"), (400, "dark")):
        page = open_page(path, width=width, scheme=scheme)
        assert page.title().endswith("Remora")
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            "the page is wider than the screen"
        )
        for folded in page.locator("details.folded summary").all():
            folded.click()
        for plot in page.locator("[data-chart]").all():
            plot.scroll_into_view_if_needed()
            plot.locator("svg.main-svg").first.wait_for()


def test_an_alert_leads_to_what_moved_and_to_its_own_time(open_page):
    page = open_page("/alerts/h1")
    assert page.locator("h1").inner_text().startswith(HOSTILE)
    link = page.get_by_role("table").get_by_role("link", name=HOSTILE).first.get_attribute("href")
    assert "from=" in link
    assert "window=" in link


def value_of(database, metric, **where):
    query = sa.select(tables.findings.c.value).where(
        tables.findings.c.model == "flights", tables.findings.c.metric == metric, tables.findings.c.version == "",
        tables.findings.c.value.is_not(None), *(tables.findings.c[name] == value for name, value in where.items()),
    )  # fmt: skip
    with database.read() as connection:
        return connection.execute(query.order_by(tables.findings.c.window_end.desc()).limit(1)).scalar_one()


def test_the_overviews_numbers_are_the_databases(open_page, database):
    page = open_page("/")
    row = page.locator("table.overview tbody tr").filter(has_text="flights")
    for label, metric in (
        ("Predictions", "predictions"),
        ("Latency p95", "latency_p95"),
        ("Errors", "error_rate"),
        ("ROC AUC", "auc"),
    ):
        assert row.locator(f"td[data-label='{label}'] .value").inner_text() == show(
            metric, value_of(database, metric)
        )
    assert row.locator("td[data-label='Alerts'] .value").inner_text() == "1 firing"
    assert "2013-09" in row.locator("th").inner_text()


def test_the_models_numbers_are_the_databases(open_page, database):
    page = open_page("/models/flights")
    tiles = dict(
        zip(
            page.locator(".tile dt").all_inner_texts(),
            page.locator(".tile .value").all_inner_texts(),
            strict=True,
        )
    )
    assert tiles["ROC AUC"] == show("auc", value_of(database, "auc"))
    assert tiles["Error rate"] == show("error_rate", value_of(database, "error_rate"))
    drawn = page.locator("#chart-auc").evaluate("node => JSON.parse(node.textContent)")
    line = next(trace for trace in drawn["data"] if trace["name"] == "ROC AUC")
    assert len(line["y"]) == 300
    assert [value for value in line["y"] if value is not None][-1] == value_of(database, "auc")
    assert line["y"][-1] is None, "a window that waits for labels is a gap"
    names = [trace["name"] for trace in drawn["data"]]
    assert {"reference", "threshold", "alarm"} <= set(names)
    assert [shape["name"] for shape in drawn["layout"]["shapes"]] == [
        "QualityFell",
        "2013-02",
        "2013-09",
        "retrain",
    ]
    rows = page.locator("table.heat tbody tr")
    assert rows.count() == len(FEATURES) + 2
    assert rows.first.locator("th").inner_text() == "temp", "the worst first"
    assert rows.first.locator("td").nth(1).inner_text() == show(
        "psi", value_of(database, "psi", feature="temp")
    )


def test_a_features_bins_are_the_summaries(open_page):
    page = open_page("/models/flights/features/carrier")
    bins = {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in page.locator("table.bins tbody tr").all()
    }
    reference = [float(cells[1].split()[0]) for cells in bins.values()]
    window = [float(cells[2].split()[0]) for cells in bins.values()]
    assert sum(reference) == pytest.approx(100, abs=0.6)
    assert sum(window) == pytest.approx(100, abs=0.6)
    assert window[list(bins).index("other")] > 25, "a new carrier"
    page.get_by_role("link", name="earlier").click()
    page.wait_for_load_state()
    assert page.locator("h2#compare").inner_text() == "Window 2013-12-24"


def test_pages_can_be_read_without_scripts(open_page):
    page = open_page("/models/flights", scripts=False)
    assert page.locator(".still svg.spark").first.is_visible()
    assert "threshold 0.620" in page.locator("figcaption").filter(has_text="ROC AUC").inner_text()
    assert page.locator("table.heat tbody tr").count() == len(FEATURES) + 2
    assert not open_page("/incidents/i2", scripts=False).locator("form").is_visible()


def test_hostile_names_are_text(open_page):
    page = open_page("/")
    page.get_by_role("link", name=HOSTILE).first.click()
    page.wait_for_load_state("networkidle")
    assert page.locator("h1").inner_text().startswith(HOSTILE)
    page.locator("table.heat").get_by_role("link", name=HOSTILE).click()
    page.wait_for_load_state("networkidle")
    assert page.locator("h1").inner_text().startswith(HOSTILE)
    assert HOSTILE in page.locator(".reason").inner_text()
    open_page("/alerts")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/models/nobody", 404), ("/models/flights/features/none", 404), ("/incidents/none", 404), ("/alerts/none", 404), ("/reports/none", 404),
     ("/reports/r2/document", 404), ("/?from=yesterday", 400), ("/?range=long", 400), ("/models/flights?from=2014&to=2013", 400)],
)  # fmt: skip
def test_what_is_not_there_says_so_in_html(open_page, path, status):
    page = open_page(path, status=status)
    assert page.locator("h1").inner_text() == "That is not here"


def test_a_failed_report_says_why(open_page):
    assert "no raw rows" in open_page("/reports/r2").locator("main").inner_text()


def test_a_report_runs_its_scripts_in_a_sandbox_without_origin(open_page, server):
    page = open_page("/reports/r1")
    frame = page.frame_locator("iframe")
    assert "scripted" in frame.locator("body").inner_text()
    assert page.frames[1].evaluate("self.origin") == "null"


def test_an_incident_is_acknowledged_through_the_alerts_api(open_page, server):
    page = open_page("/incidents/i2")
    assert page.get_by_role("link", name="Runbook").get_attribute("href") == "https://wiki.example/drift"
    assert page.locator("li.waiting").count() == 3
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Note").fill("looking")
    page.get_by_role("button", name="Acknowledge").press("Enter")
    page.locator("h1 .chip", has_text="acknowledged").wait_for()
    assert server[1].acknowledged == [("i2", {"by": "Ann", "note": "looking"})]
    assert page.locator("form").count() == 0


def test_links_keep_the_time_range_and_the_keyboard_reaches_the_content(open_page):
    page = open_page("/?range=30d")
    assert page.locator(".choices [aria-current]").inner_text() == "30d"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_role("link", name="flights").first.click()
    page.wait_for_load_state()
    assert page.url.endswith("/models/flights?range=30d")


def test_an_empty_database_says_how_to_begin(tmp_path, browser):
    opened = connect(f"sqlite:///{tmp_path / 'empty.db'}")
    schema.prepare(opened)
    with serving(app_of(opened, tmp_path)) as base:
        page = browser.new_page()
        for path in ("/", "/alerts", "/incidents", "/deliveries", "/reports"):
            assert page.goto(base + path).status == 200
            assert page.locator("section.empty").count() == 1
        page.goto(base)
        assert "remora sidecar --listen" in page.locator("main").inner_text()
        page.close()
    opened.dispose()


def test_pages_may_load_nothing_from_elsewhere(server):
    for path in ("/", "/models/flights", "/reports/r1"):
        policy = httpx.get(server[0] + path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
    document = httpx.get(server[0] + "/reports/r1/document").headers["content-security-policy"]
    assert document.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in document

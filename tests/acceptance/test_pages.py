"""Every page in Chromium, with a year of data: the numbers are the database's, nothing leaves the host, no error."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import alerts.api
import alerts.incident_api
from dashboards import report_api
from remora import schema, tables
from remora.catalogue import show
from remora.config import parse
from remora.database import connect
from remora.security import Guard
from tests.example_server import NOW, app_of, serving
from tests.example_year import DAY, FEATURES, START, alert, fill, finding, put

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
HOSTILE = '<script>alert("x")</script>'
PAGES = [
    "/", "/?range=all", "/models/flights", "/models/flights?range=90d&segment=origin%3DJFK", "/models/flights/features/carrier",
    "/models/flights/features/temp?range=all", "/models/flights/features/%24score", "/alerts", "/alerts/a5", "/alerts/h1",
    "/incidents", "/incidents/i1", "/incidents/i2", "/rules", "/reports", "/reports/r1", "/deliveries", "/collectors", "/settings",
]  # fmt: skip
ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "pages"
MOST_QUERIES = 50
OVERFLOWING = """[...document.querySelectorAll('.rows:not(.plain) td')]
    .filter(cell => cell.scrollHeight > cell.clientHeight + 1).map(cell => cell.dataset.label)"""
CONFIG = parse("""
version: 1
models: {flights: {segments: [origin]}}
receivers: {hook: {kind: webhook, url: "http://127.0.0.1:1/s3cret"}}
groups:
  - name: quality
    rules:
      - {alert: FeatureDrift, metric: psi, by: [model, feature]}
      - {alert: QualityFell, metric: auc, condition: "< 0.62", windows: 5 of 7, plan: drift}
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
    put(opened, tables.collectors, [
        {"id": "c1", "host": "pod-1", "model": "flights", "version": "0.1.0", "started_at": START, "seen_at": NOW,
         "counters": {"running": 1, "records_per_second": 41.5, "lost": 12, "dropped_full": 12, "lag_seconds": 0.4,
                      "bytes": 120_000, "limit_bytes": 1 << 30}},
    ])  # fmt: skip
    put(opened, tables.findings, [
        finding("flights", 299, metric, value, segment=f"origin={name}", verdict="alarm" if value > 10 * 60 else "ok")
        for name, many in (("JFK", 300.0), ("EWR", 450.0)) for metric, value in (("predictions", many), ("auc", 0.6))
    ])  # fmt: skip
    (folder / "r1.html").write_text(
        "<!DOCTYPE html><html><body><script>document.body.append('scripted')</script></body></html>"
    )
    opened.folder = folder
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def server(database):
    """The pages and the alerts' API, as they are composed."""
    app = app_of(database.only_reading(), database.folder, config=CONFIG)
    for part in (alerts.api, alerts.incident_api):
        app.include_router(part.router(database, CONFIG, Guard(None, None), lambda: NOW))
    app.include_router(report_api.router(database, Guard(None, None), lambda: NOW))
    with serving(app) as base:
        yield base


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
        page.on("request", lambda request: None if request.url.startswith((server, "data:", "blob:"))
                else wrong.append(f"asked {request.url}"))  # fmt: skip
        answer = page.goto(server + path)
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
def test_every_page_shows_itself_to_everybody_at_both_widths_in_both_schemes(open_page, path):
    for width in (1280, 400):
        page = open_page(path, width=width)
        assert page.title().endswith("Remora")
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            "the page is wider than the screen"
        )
        assert page.evaluate(OVERFLOWING) == [], f"at {width} px a label or a value reaches into the next row"
        for folded in page.locator("details.folded summary").all():
            folded.click()
        for plot in page.locator("[data-chart]").all():
            plot.scroll_into_view_if_needed()
            plot.locator("svg.main-svg").first.wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            kept(page, path, f"{width}-{scheme}")
            if (width, scheme) in {(1280, "light"), (400, "dark")}:
                assert unreachable(page) == [], f"{width} {scheme}"


@pytest.mark.parametrize("width", [1280, 400])
def test_a_page_does_not_move_while_its_pictures_are_drawn(open_page, width):
    page = open_page("/models/flights", width=width)
    before = page.evaluate("document.documentElement.scrollHeight")
    for plot in page.locator("[data-chart]:visible").all():
        plot.scroll_into_view_if_needed()
        plot.locator("svg.main-svg").first.wait_for()
    assert page.evaluate("document.documentElement.scrollHeight") == before


def kept(page, path, kind):
    """A screenshot among the test's artefacts."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-") or "overview"
    page.screenshot(path=ARTIFACTS / f"{name}-{kind}.png", full_page=True)


def unreachable(page):
    """What axe-core finds that keeps somebody out."""
    found = Axe().run(page, options={"resultTypes": ["violations"], "iframes": False}).response["violations"]
    return [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_asks_the_database_more_than_fifty_times(server, database, path):
    asked = []
    counting = lambda *arguments: asked.append(arguments[2])  # noqa: E731
    sa.event.listen(database.engine, "before_cursor_execute", counting)
    try:
        assert httpx.get(server + path).status_code == 200
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", counting)
    assert 0 < len(asked) <= MOST_QUERIES


def test_an_alert_leads_to_what_moved_and_to_its_own_time(open_page):
    page = open_page("/alerts/h1")
    assert page.locator("h1").inner_text().startswith(HOSTILE)
    link = page.get_by_role("table").get_by_role("link", name=HOSTILE).first.get_attribute("href")
    assert "from=" in link
    assert "window=" in link


def value_of(database, metric, **where):
    query = sa.select(tables.findings.c.value).where(
        tables.findings.c.model == "flights", tables.findings.c.metric == metric, tables.findings.c.version == "",
        tables.findings.c.segment == "", tables.findings.c.value.is_not(None), *(tables.findings.c[name] == value for name, value in where.items()),
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
        ("Performance", "auc"),
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
    assert rows.first.locator("th").inner_text() == "visib", (
        "the worst of all metrics first: a week without values"
    )
    rows = open_page("/models/flights?heat=psi").locator("table.heat tbody tr")
    assert rows.first.locator("th").inner_text() == "temp", "the worst first"
    assert rows.first.locator("td.c-now").inner_text() == show(
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
    assert not open_page("/incidents/i2", scripts=False).locator("form").first.is_visible()
    page.locator("table.heat thead th.c-feature a").click()
    names = page.locator("table.heat tbody th").all_inner_texts()
    assert names == sorted(names, key=str.casefold)


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
    [("/?sort=models:none", 400), ("/?download=none.csv", 404), ("/?download=models.xls", 400), ("/models/flights?heat=none", 400), ("/alerts?state=odd", 400),
     ("/models/nobody", 404), ("/models/flights/features/none", 404), ("/incidents/none", 404), ("/alerts/none", 404), ("/reports/none", 404),
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


def test_who_was_paged_at_night_sees_what_since_when_why_and_what_is_done_in_one_screen(open_page):
    page = open_page("/incidents/i1", width=400)
    answers = dict(
        zip(
            page.locator(".glance dt").all_inner_texts(),
            page.locator(".glance dd").all_inner_texts(),
            strict=True,
        )
    )
    assert {"What", "Since", "Why", "Doing"} <= set(answers)
    assert "171\xa0ms" in answers["What"]
    assert "21.0\xa0%" in answers["What"]
    assert answers["Since"].startswith("2013-07-17 00:00 UTC")
    assert page.locator(".glance").first.evaluate("node => node.getBoundingClientRect().bottom") < 800


def test_an_incident_is_acknowledged_through_the_alerts_api(open_page, database):
    page = open_page("/incidents/i2")
    assert page.get_by_role("link", name="Runbook").get_attribute("href") == "https://wiki.example/drift"
    assert page.locator("li.waiting").count() == 3
    form = page.locator("form").filter(has_text="Acknowledge")
    form.get_by_label("Your name").fill("Ann")
    form.get_by_label("Note").fill("looking")
    form.get_by_role("button", name="Acknowledge").press("Enter")
    page.locator("h1 .chip", has_text="acknowledged").wait_for()
    assert page.get_by_role("button", name="Acknowledge").count() == 0
    assert "Ann has it since" in page.locator(".glance").first.inner_text()
    with database.read() as connection:
        row = connection.execute(sa.select(tables.incidents).where(tables.incidents.c.id == "i2")).one()
    assert (row.state, row.acknowledged_by) == ("acknowledged", "Ann")


def test_an_alert_is_silenced_from_its_page_and_the_silence_ended_from_the_rules(open_page, database):
    page = open_page("/alerts/a5")
    page.get_by_text("Silence it").click()
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Why").fill("known")
    with page.expect_response("**/v1/silences") as answer:
        page.get_by_role("button", name="Silence").click()
    assert answer.value.status == 201
    with database.read() as connection:
        silence = connection.execute(sa.select(tables.silences)).one()
    assert {matcher["name"]: matcher["value"] for matcher in silence.matchers} == {
        "alertname": "FeatureDrift", "model": "flights", "feature": "carrier",
    }  # fmt: skip
    page = open_page("/rules")
    row = page.locator("tr", has_text="feature=carrier")
    assert row.locator(".chip").inner_text() == "active"
    row.get_by_role("button", name="End the silence").click()
    page.locator("tr", has_text="feature=carrier").locator(".chip", has_text="expired").wait_for()


def test_a_silence_for_a_rule_is_made_by_hand(open_page, database):
    page = open_page("/rules")
    page.get_by_text("Add a silence").click()
    form = page.locator("details form")
    form.get_by_label("Rule").select_option("QualityFell")
    form.get_by_label("Your name").fill("Ben")
    form.get_by_label("Why").fill("retraining")
    form.get_by_role("button", name="Silence").click()
    page.locator("tr", has_text="alertname=QualityFell").wait_for()


def test_another_site_cannot_act_in_somebodys_name(server):
    body = {
        "content": b'{"by": "evil"}',
        "headers": {"sec-fetch-site": "cross-site", "content-type": "text/plain"},
    }
    assert httpx.post(server + "/v1/incidents/i2/acknowledge", **body).status_code == 403
    elsewhere = {"content": b'{"by": "evil"}', "headers": {"origin": "https://evil.example"}}
    assert httpx.post(server + "/v1/incidents/i2/acknowledge", **elsewhere).status_code == 403


def test_tables_sort_with_and_without_scripts_alike(open_page):
    page = open_page("/models/flights")
    names = lambda: page.locator("table.heat tbody th").all_inner_texts()  # noqa: E731
    head = page.locator("table.heat th.c-now")
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile("sort=features%3A-now"))
    by_script = names()
    page.goto(page.url)
    assert names() == by_script
    head.get_by_role("link").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert names() == by_script[::-1]


def test_downloads_open_and_hold_what_the_page_shows(open_page, database):
    page = open_page("/models/flights?sort=features:feature")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Features as CSV").click()
    rows = list(csv.DictReader(Path(begun.value.path()).read_text().splitlines()))
    assert begun.value.suggested_filename == "models-flights-features.csv"
    assert [row["feature"] for row in rows] == sorted([*FEATURES, "$score", "$prediction"], key=str.casefold)
    assert [row["feature"] for row in rows] == page.locator("table.heat tbody th").all_inner_texts()
    found = httpx.get(page.url.split("?")[0], params={"download": "alerts.json"}).json()
    with database.read() as connection:
        expected = connection.execute(
            sa.select(tables.alerts.c.id).where(tables.alerts.c.model == "flights")
        ).scalars()
        assert {row["id"] for row in found} == set(expected)


def test_a_report_is_asked_for_waited_for_and_made_anew(open_page, database):
    page = open_page("/reports?model=flights")
    page.get_by_text("Ask for a report").click()
    page.get_by_label("From", exact=True).fill("2013-05-06")
    page.get_by_label("To", exact=True).fill("2013-05-13")
    page.get_by_role("button", name="Make the report").click()
    page.get_by_role("heading", name="Waiting to be made").wait_for()
    kept(page, "/reports/waiting", "1280-light")
    report = page.url.rpartition("/")[2]
    reports = tables.reports
    with database.write() as connection:
        connection.execute(
            reports.update().where(reports.c.id == report).values(state="failed", error="no raw rows")
        )
    page.get_by_text("no raw rows").wait_for()  # the page looks by itself
    page.get_by_role("button", name="Make it anew").click()
    page.get_by_role("heading", name="Waiting to be made").wait_for()
    with database.write() as connection:
        connection.execute(reports.delete().where(reports.c.id == report))


def test_settings_show_no_secret(open_page):
    page = open_page("/settings")
    assert "s3cret" not in page.content()
    assert (
        page.locator("tr", has_text="receivers.hook.url").first.locator("td").first.inner_text() == "hidden"
    )


def test_collectors_say_what_they_lost(open_page):
    page = open_page("/collectors")
    row = page.locator("tbody tr").filter(has=page.get_by_text("c1", exact=True))
    assert row.locator(".chip").inner_text() == "losing records"
    assert row.locator("td.c-lost").inner_text() == "12"
    assert "12 dropped full" in row.inner_text()


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
        for path in ("/", "/alerts", "/incidents", "/rules", "/deliveries", "/reports", "/collectors"):
            assert page.goto(base + path).status == 200
            assert page.locator("section.empty").count() == 1
        page.goto(base)
        assert "remora sidecar --listen" in page.locator("main").inner_text()
        page.close()
    opened.dispose()


def test_pages_may_load_nothing_from_elsewhere(server):
    for path in ("/", "/models/flights", "/reports/r1"):
        policy = httpx.get(server + path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
    document = httpx.get(server + "/reports/r1/document").headers["content-security-policy"]
    assert document.startswith("sandbox allow-scripts;")
    assert "allow-same-origin" not in document

"""Grafana's files are what the generator writes, and hold together."""

from __future__ import annotations

import re

import pytest
import yaml

from dashboards.grafana import build
from dashboards.grafana.alerting import taken_apart
from dashboards.grafana.sources import POSTGRES, PROMETHEUS

FILES, BOARDS = build.files(), build.boards()
PANELS = [
    (uid, panel) for uid, board in BOARDS.items() for panel in board["panels"] if panel["type"] != "row"
]
each_panel = pytest.mark.parametrize(
    ("uid", "panel"), PANELS, ids=lambda one: one if isinstance(one, str) else one["title"]
)


@pytest.mark.parametrize("name", FILES)
def test_files_are_up_to_date(name):
    assert (build.FOLDER / name).read_text() == FILES[name], "run python -m dashboards.grafana.build"


def test_no_file_is_left_over():
    there = {path.relative_to(build.FOLDER).as_posix() for path in build.FOLDER.rglob("*.json")}
    assert there == {name for name in FILES if name.endswith(".json")}


def test_identities_are_pinned():
    assert list(BOARDS) == [
        "remora-overview",
        "remora-model",
        "remora-features",
        "remora-collectors",
        "remora-alerts",
    ]
    assert (PROMETHEUS.uid, POSTGRES.uid) == ("remora-prometheus", "remora-postgres")
    assert {board["schemaVersion"] for board in BOARDS.values()} == {39}


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_do_not_overlap_and_have_ids(uid):
    taken = set()
    panels = BOARDS[uid]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@each_panel
def test_a_panel_says_its_unit_what_it_shows_and_where_its_numbers_come_from(uid, panel):
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 60
    assert panel["description"].endswith((".", "?"))
    sources = {target["datasource"]["uid"] for target in panel["targets"]}
    assert sources == {panel["datasource"]["uid"]} <= {PROMETHEUS.uid, POSTGRES.uid}


@each_panel
def test_a_panel_draws_a_bounded_number_of_lines(uid, panel):
    """What grows with features or pods is cut to the highest, or to a number of rows."""
    for target in panel["targets"]:
        if re.search(
            r"remora_feature_value|instance", target.get("expr", "") + target.get("legendFormat", "")
        ):
            assert re.search(r"topk\(|histogram_quantile", target["expr"]), panel["title"]
        if "rawSql" in target and target["format"] == "table" and panel["type"] == "table":
            assert re.search(r"LIMIT \d+$", target["rawSql"]), panel["title"]
        if "feature AS metric" in target.get("rawSql", ""):
            assert "JOIN worst" in target["rawSql"], panel["title"]


@pytest.mark.parametrize("uid", BOARDS)
def test_every_variable_that_is_used_is_there(uid):
    text = FILES[f"dashboards/{uid}.json"]
    used = set(re.findall(r"\$\{?([a-z]\w*)", text))
    declared = {variable["name"] for variable in BOARDS[uid]["templating"]["list"]}
    assert used == declared


@pytest.mark.parametrize("uid", BOARDS)
def test_a_dashboard_leads_to_the_others_and_to_remoras_pages(uid):
    others, *pages = BOARDS[uid]["links"]
    assert (others["type"], others["tags"], others["keepTime"]) == ("dashboards", ["remora"], True)
    assert BOARDS[uid]["tags"] == ["remora"]
    assert pages
    assert all(link["url"].startswith("${remora}/") for link in pages)


def test_grafanas_alert_rules_say_what_prometheus_rules_say():
    groups = yaml.safe_load((build.FOLDER.parents[1] / "deploy/prometheus/rules.yml").read_text())["groups"]
    theirs = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    made = yaml.safe_load(FILES["provisioning/alerting/remora.yaml"])["groups"]
    ours = {rule["title"]: rule for group in made for rule in group["rules"]}
    assert set(ours) == set(theirs)
    assert len({rule["uid"] for rule in ours.values()}) == len(ours)
    for name, rule in ours.items():
        assert rule["for"] == theirs[name].get("for", "0s")
        assert "$" not in rule["annotations"]["summary"], "Grafana's template names, which no release expands"
        if "__panelId__" in rule["annotations"]:
            board = BOARDS[rule["annotations"]["__dashboardUid__"]]
            assert int(rule["annotations"]["__panelId__"]) in {panel["id"] for panel in board["panels"]}
    passed_on = ours["RemoraModelAlert"]["data"][0]["model"]["expr"]
    assert '"$$1"' in passed_on, "a single dollar would be taken for an environment variable"


@pytest.mark.parametrize(
    ("expression", "apart"),
    [
        ("up == 0", ("up", "==", 0)),
        ("time() - seen > 2 * 86400", ("time() - seen", ">", 172800)),
        ("left < 0.5", ("left", "<", 0.5)),
    ],
)
def test_a_rules_expression_is_taken_apart(expression, apart):
    assert taken_apart(expression) == apart


def test_an_expression_without_a_comparison_is_said():
    with pytest.raises(ValueError, match="ends in a comparison with a number"):
        taken_apart("up")

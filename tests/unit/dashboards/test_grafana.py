"""Grafana's files are what the generator writes, and hold together."""

from __future__ import annotations

import pytest

from dashboards.grafana import build
from dashboards.grafana.panels import POSTGRES, PROMETHEUS


@pytest.mark.parametrize("name", build.files())
def test_files_are_up_to_date(name):
    assert (build.FOLDER / name).read_text() == build.files()[name], "run python -m dashboards.grafana.build"


def test_panels_do_not_overlap_and_have_ids_and_sources():
    taken = set()
    panels = build.dashboard()["panels"]
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
        assert panel["type"] == "row" or panel["datasource"] in (PROMETHEUS, POSTGRES)


def test_the_dashboard_is_pinned():
    assert build.dashboard()["uid"] == "remora"
    assert (PROMETHEUS["uid"], POSTGRES["uid"]) == ("remora-prometheus", "remora-postgres")

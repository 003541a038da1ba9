from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.errors import BadRequestError, NotFoundError
from dashboards.listing import Column, Listing, download, sorted_rows
from dashboards.words import sortable

COLUMNS = (
    Column("name", "Name", lambda row: row.name, head=True),
    Column("value", "Value", lambda row: row.value, number=True),
    Column("at", "At", lambda row: row.at, hidden=True),
    Column("picture", "Picture"),
)
AT = datetime(2013, 3, 1, 10, tzinfo=UTC)


def row(name="a", value=1.0, at=AT):
    return SimpleNamespace(name=name, value=value, at=at)


def test_rows_without_a_value_are_last_in_both_directions():
    rows = [row("a", None), row("b", 2.0), row("c", 10.0)]
    assert [one.name for one in sorted_rows(COLUMNS, rows, "value")] == ["b", "c", "a"]
    assert [one.name for one in sorted_rows(COLUMNS, rows, "-value")] == ["c", "b", "a"]
    assert sorted_rows(COLUMNS, rows, "") is rows


@pytest.mark.parametrize("order", ["nothing", "-picture", "value; drop table"])
def test_a_column_that_cannot_be_sorted_by_is_refused_with_those_that_can(order):
    with pytest.raises(BadRequestError, match="one of name, value, at"):
        sorted_rows(COLUMNS, [row()], order)


def test_a_link_sorts_by_its_column_and_then_the_other_way_round():
    listing = Listing("t", COLUMNS, [row()], order="-value", query={"range": "7d"})
    assert listing.sort_link(COLUMNS[0]) == "?range=7d&sort=t%3Aname#t-table"
    assert listing.sort_link(COLUMNS[1]) == "?range=7d&sort=t%3Avalue#t-table"
    assert [listing.direction(column) for column in COLUMNS[:2]] == ["none", "descending"]
    assert listing.download_link("csv") == "?range=7d&sort=t%3A-value&download=t.csv"


def test_a_page_shows_the_first_rows_and_a_file_has_all():
    listing = Listing("t", COLUMNS, [row(str(number)) for number in range(12)], first=10)
    assert (len(listing.shown), listing.partial) == (10, True)
    made = download({"t": listing}, "t.json", "models-m")
    assert made.name == "models-m-t.json"
    assert json.loads(made.content)[11] == {"name": "11", "value": 1.0, "at": "2013-03-01T10:00:00Z"}


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"])),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
        )
    )
)
def test_a_csv_reads_back_and_no_cell_of_text_is_a_formula(pairs):
    rows = [row(name, value) for name, value in pairs]
    made = download({"t": Listing("t", COLUMNS, rows)}, "t.csv", "")
    head, *lines = csv.reader(io.StringIO(made.content))
    assert (made.name, head) == ("t.csv", ["name", "value", "at"])
    formula = ("=", "+", "-", "@")
    assert [tuple(line[:2]) for line in lines] == [
        (f"'{name}" if name.startswith(formula) else name, "" if value is None else repr(value))
        for name, value in pairs
    ]
    assert not any(line[0].startswith(("=", "+", "-", "@")) for line in lines)


def test_what_is_no_table_or_no_kind_of_file_is_refused():
    listings = {"t": Listing("t", COLUMNS, [])}
    with pytest.raises(BadRequestError, match=r"\.csv or \.json"):
        download(listings, "t.xls", "")
    with pytest.raises(NotFoundError, match="one of t"):
        download(listings, "u.csv", "")


def test_a_script_sorts_by_numbers_and_by_instants_as_text():
    assert [sortable(value) for value in (1.5, "a", AT)] == ["1.5", "a", "2013-03-01T10:00:00Z"]

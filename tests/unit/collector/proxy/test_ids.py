"""Ids: RFC 9562's version 7 as Python's own uuid reads it, in order, never twice."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.proxy.ids import IdMaker, usable_id


@given(st.floats(0, 2**37))
def test_an_id_is_a_uuid_of_version_7_with_its_millisecond(now: float) -> None:
    made = uuid.UUID(IdMaker().new(now))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(now * 1000)


def test_ids_are_in_order_and_unique_even_within_one_millisecond() -> None:
    maker = IdMaker()
    ids = [maker.new(1_700_000_000.0 + step / 1000) for step in range(3) for _ in range(4000)]
    assert ids == sorted(ids)
    assert len({*ids, *(maker.new(1_700_000_000.002) for _ in range(10_000))}) == 22_000


def test_two_makers_do_not_meet() -> None:
    assert IdMaker().new(1.0) != IdMaker().new(1.0)


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (b"order 17", "order 17"),
        (b"x" * 128, "x" * 128),
        (b"x" * 129, None),
        (b"", None),
        (b"tab\there", None),
        (b"caf\xc3\xa9", None),
        (b"nul\x00", None),
        (b"line\n", None),
    ],
)
def test_which_ids_of_callers_are_usable(value: bytes, usable: str | None) -> None:
    assert usable_id(value) == usable

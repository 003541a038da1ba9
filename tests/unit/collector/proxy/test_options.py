"""Upstream addresses: what is taken and how the rest is refused."""

from pathlib import Path

import pytest

from collector.proxy.options import Upstream, parse_upstream
from remora.errors import UserError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", Upstream("127.0.0.1", 8000)),
        ("http://model/", Upstream("model", 80)),
        ("http://[::1]:9", Upstream("::1", 9)),
        ("unix:/run/model.sock", Upstream(path=Path("/run/model.sock"))),
        ("unix:model.sock", Upstream(path=Path("model.sock"))),
    ],
)
def test_plain_addresses(url: str, address: Upstream) -> None:
    assert parse_upstream(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://model", "https is not supported yet"),
        ("http://model/base", "a path is not supported"),
        ("http://model/?a=b", "a path is not supported"),
        ("http://user:secret@model", "user or password"),
        ("model:8000", "not an http address"),
        ("http://", "not an http address"),
        ("http://model:port", "not valid"),
        ("http://model:70000", "not valid"),
        ("unix:", "names no file"),
        ("unix:/", "names no file"),
        ("unix:/a\0b", "names no file"),
        (f"unix:/{'x' * 107}", "longer than the 107 characters"),
    ],
)
def test_others_are_refused_in_one_line_without_secrets(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as refusal:
        parse_upstream(url)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_upstream_is_named_as_people_write_it() -> None:
    assert str(Upstream("::1", 9)) == "[::1]:9"
    assert str(Upstream(path=Path("/run/model.sock"))) == "unix:/run/model.sock"

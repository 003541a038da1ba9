"""Upstream addresses: what is taken and how the rest is refused."""

import pytest

from collector.proxy.options import ProxyOptions, parse_upstream
from remora.errors import UserError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("http://model/", ("model", 80)),
        ("http://[::1]:9", ("::1", 9)),
    ],
)
def test_plain_addresses(url: str, address: tuple[str, int]) -> None:
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
    ],
)
def test_others_are_refused_in_one_line_without_secrets(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as refusal:
        parse_upstream(url)
    assert "secret" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_ipv6_upstream_is_named_as_people_write_it() -> None:
    assert ProxyOptions(upstream_host="::1", upstream_port=9).upstream_name == "[::1]:9"

"""HOST:PORT, URLs, and the refusal to listen beyond this machine unprotected."""

from __future__ import annotations

import pytest

from remora.errors import UserError
from remora.settings import Address, check_exposure, parse_address, parse_http_url


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        (":80", "127.0.0.1", 80, True),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:9", "::1", 9, True),
        ("0.0.0.0:65535", "0.0.0.0", 65535, False),
        ("pod.example:0", "pod.example", 0, False),
    ],
)
def test_addresses(text, host, port, loopback):
    address = parse_address(text, "--listen")
    assert (address.host, address.port, address.loopback) == (host, port, loopback)


@pytest.mark.parametrize("text", ["", "8080", "host:", "host:65536", "host:-1", "host:8a", "host:²"])
def test_what_is_no_address_is_said(text):
    with pytest.raises(UserError, match=r"--listen .* is not HOST:PORT"):
        parse_address(text, "--listen")


def test_urls():
    assert parse_http_url("http://127.0.0.1:5000/", "--upstream") == "http://127.0.0.1:5000"
    for wrong in ("127.0.0.1:5000", "ftp://x", "http://", ""):
        with pytest.raises(UserError, match="--upstream"):
            parse_http_url(wrong, "--upstream")


def test_a_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(UserError) as caught:
        parse_http_url("https://ann:hunter2@host", "--forward")
    assert "hunter2" not in str(caught.value)


def test_beyond_this_machine_only_with_a_token():
    check_exposure(Address("127.0.0.1", 1), "the server", protected=False)
    check_exposure(Address("0.0.0.0", 1), "the server", protected=True)
    with pytest.raises(UserError, match=r"0\.0\.0\.0:1.*REMORA_TOKEN"):
        check_exposure(Address("0.0.0.0", 1), "the server", protected=False)

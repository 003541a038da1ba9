from __future__ import annotations

import ssl
from collections import deque

import pytest
from pydantic import SecretStr

from alerts.errors import BlockedAddressError
from alerts.receivers.base import Request
from alerts.transport import call, check_address
from tests.example_alerts import FakeReceiver

TLS = ssl.create_default_context()


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
     "2002:a9fe:a9fe::1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"],
)  # fmt: skip
def test_link_local_and_metadata_addresses_are_refused(address):
    with pytest.raises(BlockedAddressError):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.7", "192.168.1.1", "::1", "fd00::1", "93.184.216.34"]
)
def test_everything_else_is_the_configurations_choice(address):
    check_address(address)


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "0xa9fea9fe", "2852039166"])
def test_the_check_is_made_where_the_name_leads(host):
    request = Request("POST", SecretStr(f"http://{host}/latest/meta-data"), {}, b"")
    with pytest.raises(BlockedAddressError):
        call(request, timeout=2, tls=TLS)


def test_neither_a_proxy_nor_a_redirect_is_followed(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FakeReceiver(deque([(302, {"Location": "http://127.0.0.1:1/"}, b"gone")])) as receiver:
        answer = call(Request("POST", SecretStr(receiver.url), {"x-a": "b"}, b"body"), timeout=5, tls=TLS)
    assert (answer.status, answer.excerpt) == (302, b"gone")
    assert (receiver.received[0].body, receiver.received[0].headers["x-a"]) == (b"body", "b")

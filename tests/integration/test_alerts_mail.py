"""Mails at a real SMTP server: text and HTML, threads, TLS, a password, and what is refused."""

from __future__ import annotations

import email.policy
import ssl
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from alerts import outbox
from alerts.receivers.base import Event
from alerts.sender import Sender
from remora import tables as t
from tests.certificates import certificate
from tests.example_alerts import WALL, World
from tests.example_events import alert

CONFIG = """
version: 1
receivers:
  mail:
    kind: email
    host: localhost
    port: PORT
    tls: starttls
    ca_file: CA
    username: remora
    password: hush-hush
    from: Remora <remora@example.com>
    to: [sre@example.com, ml@example.com]
"""


class Box:
    """What arrived; addresses at `gone.example` are refused for ever, `busy.example` for now."""

    def __init__(self) -> None:
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address.endswith("@gone.example"):
            return "550 no such mailbox"
        if address.endswith("@busy.example"):
            return "450 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append((envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"remora", b"hush-hush"), handled=False)


@pytest.fixture
def post(tmp_path):
    """A mail server that asks for TLS and a password; the box behind it, and its configuration."""
    chain, key = certificate(tmp_path, "localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain, key)
    box = Box()
    server = Controller(
        box, hostname="127.0.0.1", port=0, tls_context=tls, require_starttls=True, auth_required=True,
        authenticator=authenticate,
    )  # fmt: skip
    server.port = free_port()
    server.start()
    yield box, CONFIG.replace("PORT", str(server.port)).replace("CA", str(chain))
    server.stop()


def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def put(world: World, number: int, kind: str = "alert.firing", seconds: int = 0) -> None:
    status = "resolved" if kind.endswith("resolved") else "firing"
    event = Event(kind, WALL, "mail", "too slow — é🐟", "http://remora.example", alerts=[alert("too slow", status)], group_key="g")  # fmt: skip
    with world.database.write() as connection:
        outbox.enqueue(
            connection, world.config, event, event_id=f"evt_{number}", order_key="g", wall=WALL + timedelta(seconds=seconds)
        )  # fmt: skip


def send(world: World, seconds: int = 0) -> list:
    sender = Sender(world.database, world.config, "me")
    sender.run_once(WALL + timedelta(seconds=seconds), patience=20)
    sender.close()
    return world.rows(t.deliveries, "created_at", "id")


def test_mails_about_one_group_are_a_thread_until_it_is_over(sqlite_database, post):
    box, config = post
    world = World(sqlite_database, config)
    for number, kind in enumerate(["alert.firing", "alert.firing", "alert.resolved", "alert.firing"]):
        put(world, number, kind, number)
        assert send(world, number)[-1].last_error is None
    firsts = [mail["message-id"] for _, mail in box.mails]
    assert len(set(firsts)) == 4
    assert [mail["in-reply-to"] for _, mail in box.mails] == [None, firsts[0], firsts[0], None]
    assert [mail["references"] for _, mail in box.mails] == [None, firsts[0], firsts[0], None]
    assert firsts[0] == f"<{world.rows(t.deliveries, 'created_at')[0].id}@example.com>"


def test_a_mail_is_whole(sqlite_database, post):
    box, config = post
    world = World(sqlite_database, config)
    put(world, 1)
    send(world)
    ((envelope, mail),) = box.mails
    assert envelope.mail_from == "remora@example.com"
    assert envelope.rcpt_tos == ["sre@example.com", "ml@example.com"]
    assert mail["subject"] == "too slow — é🐟"
    assert (mail["from"], mail["to"]) == ("Remora <remora@example.com>", "sre@example.com, ml@example.com")
    assert mail["date"].datetime == WALL
    text, page = (mail.get_body((form,)).get_content() for form in ("plain", "html"))
    assert "Accuracy: 70.0 % (alarm at < 80.0 %, reference too slow)" in text
    assert "Runbook: http://wiki.example/r" in text
    assert "alarm at &lt; 80.0 %" in page


@pytest.mark.parametrize(
    ("right", "wrong", "state", "error"),
    [
        ("sre@example.com, ml@example.com", "a@gone.example", "dead", "status 550"),
        ("sre@example.com, ml@example.com", "a@busy.example", "pending", "status 450"),
        ("sre@example.com, ml@example.com", "a@gone.example, b@example.com", "delivered", None),
        ("hush-hush", "wrong", "dead", "status 535"),
        ("host: localhost", "host: 127.0.0.1", "pending", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_what_a_refusal_means(sqlite_database, post, right, wrong, state, error):
    box, config = post
    world = World(sqlite_database, config.replace(right, wrong))
    put(world, 1)
    (row,) = send(world)
    assert row.state == state, row.last_error
    assert (error or "") in (row.last_error or "")
    assert "hush" not in str(row)
    assert len(box.mails) == (state == "delivered")


def test_a_server_without_tls_is_shown_no_password(sqlite_database, post):
    box = Box()
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), auth_require_tls=False, authenticator=authenticate
    )
    server.start()
    config = post[1].replace(post[1].split("port: ")[1].split("\n")[0], str(server.port))
    world = World(sqlite_database, config)
    put(world, 1)
    (row,) = send(world)
    server.stop()
    assert (row.state, row.last_status) == ("dead", 550)
    assert box.mails == []


def test_a_metadata_address_is_not_mailed(sqlite_database, post):
    world = World(sqlite_database, post[1].replace("host: localhost", "host: 169.254.169.254"))
    put(world, 1)
    (row,) = send(world)
    assert "metadata" in row.last_error

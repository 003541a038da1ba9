"""Where an API listens: HTTPS from edge to gateway, a Unix socket beside the model, and callers who keep it waiting."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time

import httpx
import pytest
import uvicorn

from collector.trust import context_of
from remora import listening
from remora.client import Client
from remora.errors import UserError
from remora.listening import HEAD_BYTES, PatientProtocol, server_settings
from remora.settings import Address, Tls, Trust, UnixAddress, parse_api_address
from remora.sockets import check_tls, listen
from tests.certificates import certificate
from tests.integration.test_collector_sidecar import stored
from tests.sidecar_world import SECONDS, wait_for


@contextlib.contextmanager
def gateway(folder, database, *options):
    """`remora server` as a process; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "remora", "server", "--listen", f"127.0.0.1:{port}", "--database", database,
               "--spool", str(folder / "far"), "--token", "secret", *options]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, cwd=folder)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)


def test_an_edge_delivers_over_https_to_a_gateway_that_its_own_authority_signed(start, tmp_path, sqlite_url):
    chain, key = certificate(tmp_path, "localhost")
    with gateway(tmp_path, sqlite_url, "--tls-cert", str(chain), "--tls-key", str(key)) as port:
        url = f"https://localhost:{port}"
        trust = ssl.create_default_context(cafile=chain)
        wait_for(lambda: _well(f"{url}/readyz", trust), "the gateway")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{url}/readyz")
        sidecar = start("--forward", url, "--forward-token", "secret", "--forward-ca", str(chain)).ready()
        with httpx.Client() as client:
            for number in range(10):
                sidecar.predict(client, f"r{number}", {"x": number})
        wait_for(lambda: len(stored(sqlite_url)) == 10, "all rows")
        assert sidecar.stop() == 0


def _well(url, trust):
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, verify=trust).status_code == 200
    return False


def test_a_gateway_that_nobody_known_signed_gets_nothing_and_nothing_is_lost(start, tmp_path, sqlite_url):
    chain, key = certificate(tmp_path, "localhost")
    with gateway(tmp_path, sqlite_url, "--tls-cert", str(chain), "--tls-key", str(key)) as port:
        wait_for(
            lambda: _well(f"https://localhost:{port}/readyz", ssl.create_default_context(cafile=chain)), "it"
        )
        sidecar = start("--forward", f"https://localhost:{port}", "--forward-token", "secret").ready()
        with httpx.Client() as client:
            sidecar.predict(client, "r0", {"x": 0})
        waits = wait_for(lambda: sidecar.events("delivery_waits"), "a refused delivery")
        assert "certificate" in json.dumps(waits[0]).lower()
        assert sidecar.status()["delivered"] == 0
        assert sidecar.status()["pending"] >= 1
        sidecar.kill()


def test_the_api_of_a_sidecar_speaks_https_where_it_has_a_certificate(start, tmp_path, sqlite_url):
    chain, key = certificate(tmp_path, "localhost")
    sidecar = start("--database", sqlite_url, "--api", "localhost:0", "--tls-cert", str(chain), "--tls-key", str(key)).ready()  # fmt: skip
    port = sidecar.events("recorder_ready")[0]["api"].rpartition(":")[2]
    trust = ssl.create_default_context(cafile=chain)
    record = {"model": "m", "id": "a", "features": {}}
    assert (
        httpx.post(f"https://localhost:{port}/v1/predictions", json=record, verify=trust).status_code == 202
    )
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"http://localhost:{port}/v1/predictions", json=record)
    assert sidecar.stop() == 0
    assert stored(sqlite_url) == ["a"]


def test_a_unix_socket_is_open_to_whom_its_mode_says_and_the_sdk_sends_over_it(start, tmp_path, sqlite_url):
    path = tmp_path / "api.sock"
    sidecar = start("--database", sqlite_url, "--api", f"unix:{path}", "--api-mode", "660").ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    client = Client("http://sidecar", model="m", socket=str(path))
    client.log(features={"x": 1}, prediction=True, id="one")
    assert client.flush(20)
    client.close()
    assert sidecar.stop() == 0
    assert stored(sqlite_url) == ["one"]


def test_a_socket_that_a_dead_process_left_is_replaced_and_a_live_one_is_not(tmp_path):
    where = UnixAddress(tmp_path / "s")
    first = listen(where, "--api")
    assert stat.S_IMODE(where.path.stat().st_mode) == 0o600
    with pytest.raises(
        Exception, match=r"cannot listen on unix:.*: Address already in use: choose another --api"
    ):
        listen(where, "--api")
    first.close()  # as a kill leaves it: the file is still there
    listen(where, "--api").close()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Exception, match="Address already in use"):
        listen(UnixAddress(tmp_path / "file"), "--api")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tls-cert", "a.pem", "--tls-key", "a.key"], "--tls-cert is for an --api HOST:PORT of its own"),
        (["--api", "127.0.0.1:0", "--tls-cert", "a.pem", "--tls-key", "a.key"], "--tls-cert a.pem cannot be read"),
        (["--forward-ca", "remora.yaml"], "--forward-ca remora.yaml holds no PEM certificate"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path, options, said):
    (tmp_path / "remora.yaml").write_text("version: 1\n")
    command = [sys.executable, "-m", "remora", "sidecar", "--upstream", "http://127.0.0.1:9", "--model", "m",
               "--listen", "127.0.0.1:0", "--forward", "https://localhost:9", *options]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda folder: Tls.of(folder / "a.pem", None), "--tls-cert and --tls-key belong together"),
        (lambda folder: check_tls(Tls(folder / "x.yaml", folder / "x.yaml")), "are not a PEM certificate and its key"),
        (lambda folder: context_of(Trust(None, folder / "x.yaml", None)), "--forward-cert and --forward-key belong"),
        (lambda folder: context_of(Trust(None, folder / "x.yaml", folder / "x.yaml")), "are not a PEM certificate"),
        (lambda folder: parse_api_address(f"unix:{folder}/no/s", "--api"), "names no file in a folder that is there"),
        (lambda folder: parse_api_address(f"unix:{folder}/s", "--api", "rw"), "is not a file's mode: write 600 or 660"),
        (lambda folder: parse_api_address(f"unix:{folder}/{'s' * 120}", "--api"), "is longer than the 107 characters"),
    ],
)  # fmt: skip
def test_files_and_addresses_that_cannot_be_used_are_said(tmp_path, call, said):
    (tmp_path / "x.yaml").write_text("version: 1\n")
    with pytest.raises(UserError, match=re.escape(said)):
        call(tmp_path)


# --- callers who keep it waiting


@contextlib.contextmanager
def listening_server(app, **options):
    """The port of an application behind our protocol."""
    listener = listen(Address("127.0.0.1", 0), "--api")
    server = uvicorn.Server(server_settings(app, lifespan="off", **options))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_for(lambda: server.started, "the server")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


async def answer_ok(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def patient(monkeypatch):
    """It waits a quarter of a second for a head."""
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.25)
    with listening_server(answer_ok) as port:
        yield port


def refused(reason):
    return listening.REFUSED.labels(reason)._value.get()


def test_more_callers_than_may_be_are_answered_503_and_counted_and_the_next_is_served():
    before = refused("busy")
    with listening_server(answer_ok, connections=3) as port, contextlib.ExitStack() as held:

        def call():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            held.callback(connection.close)
            connection.request("GET", "/")
            return connection, connection.getresponse()

        opened = [call() for _ in range(3)]
        assert [answer.status for _, answer in opened] == [200, 200, 503]
        assert refused("busy") - before == 1
        for connection, _ in opened:
            connection.close()
        wait_for(lambda: call()[1].status == 200, "room")


def test_a_head_that_does_not_end_is_answered_408_and_silence_is_hung_up_on(patient):
    before = refused("head_late")
    with socket.create_connection(("127.0.0.1", patient), timeout=5) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert slow.recv(100) == b""
    with socket.create_connection(("127.0.0.1", patient), timeout=5) as silent:
        assert silent.recv(100) == b""
    assert refused("head_late") - before == 1


def test_a_head_dripped_byte_by_byte_gets_no_more_time(patient):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", patient), timeout=5) as slow, contextlib.suppress(OSError):
        for _ in range(1000):
            slow.sendall(b"X")
            time.sleep(0.01)
    assert time.monotonic() - began < 5, "it is closed under the caller, not after ten seconds"


def test_a_head_that_is_too_large_is_answered_431(patient):
    before = refused("head_too_large")
    with socket.create_connection(("127.0.0.1", patient), timeout=5) as large:
        with contextlib.suppress(OSError):
            large.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES + 200_000))
        assert large.recv(100).startswith(b"HTTP/1.1 431 ")
    assert refused("head_too_large") - before == 1


def test_patience_is_for_heads_alone(patient):
    """A large body, a pause between requests on one connection, and a body that takes longer than a head may."""
    connection = http.client.HTTPConnection("127.0.0.1", patient, timeout=5)
    for _ in range(2):
        connection.request("POST", "/", body=b"x" * 300_000)
        assert connection.getresponse().read() == b"ok"
        time.sleep(0.4)
    connection.putrequest("POST", "/")
    connection.putheader("content-length", "2")
    connection.endheaders()
    connection.send(b"a")
    time.sleep(0.4)
    connection.send(b"b")
    assert connection.getresponse().read() == b"ok"
    connection.close()


def test_every_api_of_ours_is_served_so():
    config = server_settings(None)
    assert config.http is PatientProtocol
    assert (config.limit_concurrency, config.server_header) == (1024, False)

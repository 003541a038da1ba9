"""A whole sidecar as processes: what was answered and captured is in the database exactly once, whoever is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import socket
import socketserver
import threading
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from collector.ring_file import places
from remora import schema, tables
from remora.database import connect
from tests.sidecar_world import SECONDS, Model, Sidecar, wait_for


def stored(url: str) -> list[str]:
    database = connect(url)
    try:
        if schema.state(database) is not schema.State.CURRENT:
            return []  # the recorder has not made the tables yet
        with database.read() as connection:
            return sorted(connection.execute(sa.select(tables.predictions.c.id)).scalars())
    finally:
        database.dispose()


def test_records_and_drains_on_sigterm(start, database_url):
    sidecar = start("--database", database_url).ready()
    with httpx.Client() as client:
        for number in range(20):
            sidecar.predict(client, f"r{number:02}", {"x": number})
        sidecar.predict(client, "many", [{"x": 1}, {"x": 2}])
        label = {"model": "m", "id": "r00", "label": True}
        assert client.post(f"{sidecar.url}/remora/v1/labels", json=label).status_code == 202
    status = sidecar.status()
    assert status["accepted"] == status["delivered"] + status["pending"] + status["set_aside"]
    assert sidecar.stop() == 0
    assert stored(database_url) == sorted(["many-0", "many-1", *(f"r{n:02}" for n in range(20))])
    assert sidecar.events("recorder_stopped")[0]["pending"] == 0


@pytest.mark.parametrize("victim", ["recorder", "forwarder", "both"])
def test_kill_9_loses_and_doubles_nothing(start, sqlite_url, victim):
    """Requests go on over two kills; each answered one is in the database once."""
    answered: list[str] = []
    sidecar = start("--database", sqlite_url).ready()
    for round_ in range(2):
        with httpx.Client() as client:
            for number in range(60):
                key = f"{round_}-{number:03}"
                sidecar.predict(client, key, {"x": number})
                answered.append(key)
        recorders = sidecar.recorders
        if victim in {"forwarder", "both"}:
            sidecar.kill()
        if victim in {"recorder", "both"}:
            for pid in recorders:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if victim == "recorder":
            wait_for(lambda now=sidecar, old=recorders: set(now.recorders) - set(old), "a new recorder")
        else:
            sidecar = start("--database", sqlite_url).ready()
    wait_for(lambda: len(stored(sqlite_url)) == len(answered), "all rows")
    wait_for(lambda: sidecar.status()["pending"] == 0, "an empty spool")
    assert not any(counts["difference"] for counts in sidecar.status()["balance"].values())
    assert sidecar.stop() == 0
    assert stored(sqlite_url) == sorted(answered)


def test_the_ring_of_a_killed_sidecar_is_given_back_by_the_next_one_of_this_machine(
    start, tmp_path, model, sqlite_url
):
    sidecar = start("--database", sqlite_url).ready()
    with httpx.Client() as client:
        sidecar.predict(client, "a", {"x": 1})
    path = places(sidecar.spool)[0]
    wait_for(lambda: not sidecar.status()["in_ring"], "an empty ring")
    recorder = os.pidfd_open(sidecar.recorders[0])
    sidecar.kill()
    signal.pidfd_send_signal(recorder, signal.SIGKILL)
    assert select.select([recorder], [], [], SECONDS)[0]
    os.close(recorder)
    assert path.stat().st_size > 32 << 20
    (tmp_path / "other").mkdir()
    other = Sidecar(tmp_path / "other", model, "--database", sqlite_url).ready()
    try:
        assert not path.exists()
        [told] = other.events("ring_left_behind")
        assert (told["spool"], told["what"]) == (str(sidecar.spool), "removed")
        assert start("--database", sqlite_url).ready().stop() == 0
        assert places(other.spool)[0].exists()
    finally:
        assert other.stop() == 0
    assert stored(sqlite_url) == ["a"]


def test_runs_while_the_database_is_away_and_catches_up(start, tmp_path, sqlite_database, sqlite_url):
    """The database's folder cannot be entered at first."""
    sidecar = start("--database", "postgresql+psycopg://nobody@127.0.0.1:9/none").ready()
    with httpx.Client() as client:
        for number in range(10):
            sidecar.predict(client, f"r{number}", {"x": number})
    wait_for(lambda: sidecar.events("delivery_waits"), "a failed delivery")
    waiting = 10 + 1  # and the sidecar's own word on what it lost: nothing
    assert wait_for(lambda: (s := sidecar.status())["pending"] == waiting and s, "pending")["delivered"] == 0
    assert sidecar.stop() == 0
    again = start("--database", sqlite_url).ready()
    wait_for(lambda: len(stored(sqlite_url)) == 10, "all rows")
    assert again.stop() == 0


def test_a_full_spool_never_stops_the_model_and_all_losses_are_counted(start):
    """The spool takes a few exchanges, the ring the next hundred or so; the rest is answered and dropped."""
    sidecar = start(
        "--database", "postgresql+psycopg://nobody@127.0.0.1:9/none", "--spool-bytes", str(1 << 20)
    ).ready()
    large = {f"f{n}": "x" * 4000 for n in range(60)}
    with httpx.Client() as client:
        for number in range(180):
            sidecar.predict(client, f"r{number}", large)
    wait_for(lambda: sidecar.events("ring_waits"), "a full spool")
    status = sidecar.status()
    requests = status["balance"]["requests"]
    assert requests["dropped_full"] > 0
    assert requests["received"] == requests["captured"] + requests["dropped_full"] == 180
    assert (requests["difference"], status["balance"]["records"]["difference"]) == (0, 0)
    sidecar.kill()


def test_forwards_to_another_collector(start, tmp_path, model, sqlite_url):
    (tmp_path / "far").mkdir()
    far = Sidecar(tmp_path / "far", model, "--database", sqlite_url, "--token", "secret").ready()
    try:
        near = start("--forward", f"{far.url}/remora", "--forward-token", "secret").ready()
        with httpx.Client() as client:
            for number in range(10):
                near.predict(client, f"r{number}", {"x": number})
        assert near.stop() == 0
        wait_for(lambda: far.process.poll() is None and len(stored(sqlite_url)) == 10, "all rows")
        assert far.stop() == 0
    finally:
        far.kill()


def test_the_api_may_have_an_address_of_its_own(start, sqlite_url):
    sidecar = start("--database", sqlite_url, "--api", "127.0.0.1:0").ready()
    where = sidecar.events("recorder_ready")[0]["api"]
    answer = httpx.post(f"http://{where}/v1/predictions", json={"model": "m", "id": "a", "features": {}})
    assert answer.json() == {"accepted": 1, "rejected": []}
    assert sidecar.stop() == 0
    assert stored(sqlite_url) == ["a"]


def test_a_model_on_a_unix_socket_is_recorded_and_a_token_is_slowed_down(start, tmp_path, sqlite_url):
    path = tmp_path / "model.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Model) as model:
        thread = threading.Thread(target=model.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        sidecar = start(
            "--database",
            sqlite_url,
            "--upstream",
            f"unix:{path}",
            "--token",
            "secret",
            "--token-rate",
            "0.01",
        )
        with httpx.Client() as client:
            sidecar.ready().predict(client, "a", {"x": 1})
            status = f"{sidecar.url}/remora/v1/status"
            answers = [client.get(status, headers={"authorization": "Bearer secret"}) for _ in range(2)]
        assert [one.status_code for one in answers] == [200, 429]
        assert int(answers[1].headers["retry-after"]) > 10
        assert sidecar.stop() == 0
        model.shutdown()
        thread.join()
    assert stored(sqlite_url) == ["a"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--database", "mysql://x/y"], "not supported"),
        (["--database", "sqlite:////no/such/folder/x.db"], "does not exist"),
        (["--database", "sqlite:///x.db", "--config", "none.yaml"], "none.yaml"),
        (["--database", "sqlite:///x.db", "--upstream", "https://a"], "https is not supported"),
        (["--database", "sqlite:///x.db", "--upstream", "unix:"], "names no file"),
    ],
)
def test_mistakes_are_one_line(start, options, words):
    sidecar = start(*options)
    assert sidecar.process.wait(SECONDS) != 0
    text = sidecar.log.read_text()
    assert words in text
    assert "Traceback" not in text


@pytest.mark.parametrize("option", ["--listen", "--api"])
def test_an_occupied_port_is_one_line(start, sqlite_url, option):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        sidecar = start("--database", sqlite_url, option, address)
        assert sidecar.process.wait(SECONDS) == 2
    text = sidecar.log.read_text()
    assert [line for line in text.splitlines() if line.startswith("remora:")] == text.splitlines()[-1:]
    assert f"cannot listen on {address}: Address already in use" in text
    assert "Traceback" not in text
    assert option in text


def test_a_spool_that_cannot_be_written_is_one_line(start, sqlite_url):
    sidecar = start("--database", sqlite_url, "--spool", "/proc/none")
    assert sidecar.process.wait(SECONDS) == 2
    assert "the spool /proc/none cannot be written" in sidecar.log.read_text()
    assert "Traceback" not in sidecar.log.read_text()


def test_traffic_goes_on_while_the_recorder_cannot_start(start, sqlite_database, sqlite_url):
    """The recorder dies when the forwarder has no descriptor left to start another; one comes as soon as it can."""
    sidecar = start("--database", sqlite_url).ready()
    pid = sidecar.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    assert usual[0] == usual[1]
    with httpx.Client() as client:
        sidecar.predict(client, "before", {"x": 1})
        (old,) = sidecar.recorders
        used = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, usual[1]))
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: sidecar.events("recorder_not_started"), "a failed start")
        sidecar.predict(client, "meanwhile", {"x": 2})
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        wait_for(lambda: len(stored(sqlite_url)) == 2, "both rows")
    assert sidecar.stop() == 0


def test_traffic_goes_on_while_the_spool_is_held(start, tmp_path, sqlite_database, sqlite_url):
    """As by a recorder that is stuck on a slow disk."""
    (tmp_path / "spool").mkdir()
    with (tmp_path / "spool" / "spool.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sidecar = start("--database", sqlite_url)
        wait_for(lambda: sidecar.events("spool_waits"), "a recorder that waits")
        with httpx.Client() as client:
            sidecar.predict(client, "held", {"x": 1})
    wait_for(lambda: stored(sqlite_url) == ["held"], "the row")
    assert sidecar.stop() == 0

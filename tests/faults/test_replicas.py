"""Two servers over one PostgreSQL: one is killed, stopped or cut off, the other goes on within a minute, nothing doubles."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import threading
import time

import pytest
import sqlalchemy as sa

from remora import tables as t
from tests.server_world import Receiver, Server, wait_for
from tests.storm_world import Storm

WITHIN = 60.0


class Line:
    """A connection to PostgreSQL's socket that can be cut: what is sent then goes nowhere, and nobody is told."""

    def __init__(self, path: str) -> None:
        self._path, self._whole, self._ends = path, threading.Event(), list[socket.socket]()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                self._ends += [near, far]
                far.connect(self._path)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._whole.wait()
                target.sendall(data)
        self._whole.wait()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.mend()
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
            end.close()


def holds(server: Server, database) -> bool:
    """Whether this server is at work: a window or a message is leased to it."""
    mine = f"%-{server.process.pid}-%"
    running = sa.select(t.job_runs.c.model).where(
        t.job_runs.c.owner.like(mine), t.job_runs.c.state == "running"
    )
    sending = sa.select(t.deliveries.c.id).where(t.deliveries.c.lease_owner.like(mine))
    with database.read() as connection:
        return bool(connection.execute(running).first() or connection.execute(sending).first())


def stuck(database) -> bool:
    """Whether a transaction that has written stands open without a word: whoever wants its rows or locks waits."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL"
        " AND state_change < now() - interval '0.3 s'"
    )
    with database.read() as connection:
        return bool(connection.exec_driver_sql(query).scalar_one())


def in_a_transaction(hold, let_go, database, other) -> None:
    """Hold a server up in the middle of a transaction that writes, where it is the most in the way."""
    chance = random.Random(5)
    other.pause()  # else it would have done all the work before the first one is caught
    try:
        for _ in range(200):
            time.sleep(chance.uniform(0, 0.05))
            hold()
            time.sleep(0.5)
            if stuck(database):
                return
            let_go()
    finally:
        other.resume()
    pytest.fail("it was never caught in a transaction")


@pytest.fixture
def pair(postgres_database, tmp_path):
    """A storm, and two servers over it: the first one's line to the database can be cut."""
    url = postgres_database.engine.url
    line = Line(f"{url.query['host']}/.s.PGSQL.{url.query.get('port', 5432)}")
    far = url.set(host="127.0.0.1", port=line.port, query={}).render_as_string(hide_password=False)
    near = url.render_as_string(hide_password=False)
    with Receiver(slowest=1.0) as receiver:
        storm = Storm(near, receiver, tmp_path, 4, seed=11)
        servers = [Server(tmp_path / "one", far, storm.config), Server(tmp_path / "two", near, storm.config)]
        try:
            yield storm, line, [server.ready() for server in servers]
        finally:
            line.mend()
            for server in servers:
                server.stop()
            line.close()
            storm.database.dispose()


def test_a_servers_work_goes_to_the_other_when_it_is_killed(pair):
    storm, _, (one, two) = pair
    disturb(storm, two, lambda: at_work(storm, one, one.kill), lambda: None)


def test_a_servers_work_goes_to_the_other_when_it_stands_still_in_a_transaction(pair):
    storm, _, (one, two) = pair
    disturb(storm, two, lambda: in_a_transaction(one.pause, one.resume, storm.database, two), one.resume)


def test_a_servers_work_goes_to_the_other_when_it_is_cut_off_from_the_database(pair):
    storm, line, (_, two) = pair
    disturb(storm, two, lambda: in_a_transaction(line.cut, line.mend, storm.database, two), line.mend)


def at_work(storm, server, do) -> None:
    wait_for(lambda: holds(server, storm.database), "the first server to work")
    do()


def disturb(storm, other, fault, mend) -> None:
    """Two windows of peace, one with the fault, and one after it is mended."""
    for _ in range(2):
        assert storm.go_on(other)
        wait_for(storm.is_done, "both servers to do it")
    assert storm.go_on(other)
    fault()
    began = time.monotonic()
    wait_for(storm.is_done, "the other server to go on", WITHIN)
    sys.stdout.write(f"the other went on and was done {time.monotonic() - began:.1f} s after the fault\n")
    mend()
    while storm.left:
        storm.go_on(other)
        time.sleep(0.1)
    wait_for(storm.is_done, "the rest")
    time.sleep(2)  # what the first one had in its hands ends now, if it ever does
    storm.check()

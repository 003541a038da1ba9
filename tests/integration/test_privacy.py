"""Known values go through a whole sidecar; afterwards every byte that it wrote is searched for them."""

from __future__ import annotations

import json

import httpx
import pytest
import sqlalchemy as sa

from remora import tables
from remora.database import connect
from tests.sidecar_world import wait_for

SECRETS = ["Ann Onymous", "customer-4711", "ann@example.org", "4111111111111111", "SW1A 1AA"]
ROW = {
    "name": SECRETS[0],
    "customer": SECRETS[1],
    "note": f"write to {SECRETS[2]}, card {SECRETS[3]}",
    "postcode": SECRETS[4],
    "amount": 12.5,
}
CONFIG = """
version: 1
models:
  m:
    privacy:
      deny: [name]
      hash: [customer]
      truncate: {postcode: 2}
      mask: [email, card]
"""


def written(folder) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".yaml"
    }


@pytest.fixture
def configured(tmp_path, monkeypatch):
    (tmp_path / "remora.yaml").write_text(CONFIG)
    monkeypatch.setenv("REMORA_HASH_KEY", "a key that nobody guesses")
    return str(tmp_path / "remora.yaml")


def test_what_is_redacted_is_nowhere(tmp_path, start, configured):
    """In the spool while the database is away, and in spool, database and log afterwards."""
    url = f"sqlite:///{tmp_path}/remora.db"
    (tmp_path / "remora.db").mkdir()  # no database can be there
    sidecar = start("--database", url, "--config", configured).ready()
    with httpx.Client() as client:
        sidecar.predict(client, "one", ROW)
        record = {
            "model": "m",
            "id": "two",
            "features": ROW,
            "prediction": SECRETS[2],
            "tags": {"t": SECRETS[3]},
        }
        assert client.post(f"{sidecar.url}/remora/v1/predictions", json=record).status_code == 202
        batch = {
            "id": "b",
            "source": "s",
            "predictions": [{**record, "id": "three", "timestamp": "2026-01-01T00:00:00Z"}],
        }
        assert client.post(f"{sidecar.url}/remora/v1/batches", json=batch).status_code == 202
    wait_for(lambda: sidecar.status()["in_ring"] == 0, "the ring to be read")
    waiting = 3 + 1  # and the sidecar's own word on what it lost: nothing
    wait_for(lambda: sidecar.status()["pending"] == waiting, "all of them in the spool")
    search(written(tmp_path))
    (tmp_path / "remora.db").rmdir()
    wait_for(lambda: sidecar.status()["delivered"] == waiting, "the delivery")
    assert sidecar.stop() == 0
    search(written(tmp_path))
    database = connect(url)
    with database.read() as connection:
        found = connection.execute(sa.select(tables.predictions.c.features)).scalars().all()
    database.dispose()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    assert found[0]["note"] == "write to [email], card [card]"
    assert (found[0]["postcode"], found[0]["amount"]) == ("SW", 12.5)


def search(files: dict[str, bytes]) -> None:
    assert any(name.endswith("spool.db") for name in files)
    for name, content in files.items():
        for secret in SECRETS:
            assert secret.encode() not in content, f"{secret} is in {name}"


def test_a_hash_without_its_key_stops_the_sidecar_before_it_listens(tmp_path, start, configured, monkeypatch):
    monkeypatch.delenv("REMORA_HASH_KEY")
    sidecar = start("--database", f"sqlite:///{tmp_path}/remora.db", "--config", configured)
    assert sidecar.process.wait(30) == 2
    assert "REMORA_HASH_KEY" in sidecar.log.read_text()
    assert "Traceback" not in sidecar.log.read_text()


def test_a_field_that_looks_personal_is_written_down_once(tmp_path, start):
    url = f"sqlite:///{tmp_path}/remora.db"
    sidecar = start("--database", url).ready()
    with httpx.Client() as client:
        for number in range(8):
            sidecar.predict(client, f"r{number}", {"contact": f"user{number}@example.org", "age": number})
    wait_for(lambda: sidecar.status()["delivered"] >= 8, "the delivery")
    sidecar.stop()
    database = connect(url)
    with database.read() as connection:
        rows = connection.execute(sa.select(tables.personal_fields)).all()
    database.dispose()
    assert [(row.model, row.feature, row.looks_like) for row in rows] == [("m", "contact", "email")]
    events = [line for line in sidecar.log.read_text().splitlines() if "field_looks_personal" in line]
    assert len(events) == 1
    assert "example.org" not in events[0]
    assert json.loads(events[0])["feature"] == "contact"

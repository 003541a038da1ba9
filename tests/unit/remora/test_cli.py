"""The command line as a person meets it: help that helps, one line for a mistake, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def remora(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "remora", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        ["sidecar"],
        ["server"],
        ["demo"],
        ["check"],
        ["migrate"],
        ["version"],
        ["reference", "build"],
        ["token", "create"],
        ["token", "list"],
        ["token", "revoke"],
        ["silence", "add"],
        ["aside", "retry"],
        ["backtest"],
        ["rules", "test"],
        ["schema"],
        ["delivery", "retry"],
    ],
)
def test_every_command_has_help(command):
    done = remora(*command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: remora {' '.join(command)}")
    assert len(done.stdout.splitlines()) > 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["swim"], "No such command 'swim'"),
        (["migrate"], "--database"),
        (["migrate", "--database", "nonsense"], "sqlite:///remora.db"),
        (["migrate", "--database", "mysql://host/name"], "not supported"),
        (["migrate", "--database", "sqlite:////no/such/folder/x.db"], "does not exist"),
        (["migrate", "--database", "postgresql+psycopg://ann:hunter2@127.0.0.1:1/x"], "127.0.0.1:1"),
        (["demo", "--until", "yesterday"], "is not a date"),
        (["demo", "--until", "2013-02-01"], "2013-03-01 to 2013-12-31"),
        (["sidecar", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1", "--model", "m"], "--database"),
        (["sidecar", "--listen", "0.0.0.0:0", "--upstream", "http://127.0.0.1:1", "--model", "m",
          "--database", "sqlite:///x.db"], "without a token"),
        (["migrate", "--database", f"sqlite:///{__file__}"], "is not an SQLite database"),
        (["sidecar", "--listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1", "--model", "",
          "--database", "sqlite:///x.db"], "--model '' is not a name"),
        (["server", "--database", "sqlite:///x.db", "--listen", "nowhere"], "HOST:PORT"),
        (["token", "create", "--name", "x", "--scope", "god", "--database", "sqlite:///x.db"], "ingest, read, write"),
        (["token", "create", "--name", "x", "--expires-in", "soon", "--database", "sqlite:///x.db"], "is not a duration"),
        (["silence", "list", "--server", "http://127.0.0.1:1"], "no server answers"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(arguments, says):
    done = remora(*arguments)
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert "hunter2" not in done.stderr


def test_options_come_from_the_environment_too(tmp_path):
    done = remora("migrate", REMORA_DATABASE=f"sqlite:///{tmp_path / 'r.db'}")
    assert done.returncode == 0
    assert done.stdout.endswith("was empty, is current\n")


def test_check_shows_every_mistake_with_its_line(tmp_path):
    path = tmp_path / "remora.yaml"
    path.write_text("version: 1\nmodels:\n  fraud: {knd: binary}\nschedule: {tick: soon}\n")
    done = remora("check", str(path))
    assert done.returncode == 2
    assert "line 3: models.fraud.knd: unknown key, did you mean `kind`?" in done.stderr
    assert "line 4: schedule.tick: 'soon' is not a duration" in done.stderr
    path.write_text("version: 1\nmodels:\n  fraud: {kind: binary}\n")
    done = remora("check", str(path))
    assert (done.returncode, done.stdout) == (0, f"{path}: good: 1 model, 0 rules, 0 receivers, 0 plans\n")


def test_a_token_from_beginning_to_end(tmp_path):
    database = f"sqlite:///{tmp_path / 'remora.db'}"

    def token(*arguments, code=0):
        done = remora("token", *arguments, "--database", database)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    assert token("list").startswith("no token was made yet")
    secret = token(
        "create", "--name", "ci", "--scope", "ingest", "--scope", "read", "--expires-in", "90d"
    ).strip()
    key = secret.split("_")[1]
    heading, line = token("list").splitlines()
    assert heading.split() == ["ID", "NAME", "SCOPES", "STATE", "CREATED", "EXPIRES"]
    assert line.split()[:4] == [key, "ci", "ingest,read", "valid"]
    assert secret not in token("list", "--json")
    assert (
        token("revoke", secret) == f"{key} is revoked\n"
    )  # also by the whole token, which is not said again
    assert token("list").splitlines()[1].split()[3] == "revoked"
    [known] = json.loads(token("list", "--json"))
    assert known["state"] == "revoked"
    assert known["revoked_at"] is not None
    assert f"no valid token '{key}'" in token("revoke", key, code=2)


def test_check_shows_what_an_objective_comes_to(tmp_path):
    file = tmp_path / "remora.yaml"
    file.write_text(
        "version: 1\nmodels: {m: {windows: {size: 5m}}}\nslos: [{name: up, model: m, objective: 90%}]\n"
    )
    done = remora("check", str(file))
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[2] == [
        "up:",
        "error_rate",
        "of",
        "m,",
        "0.1",
        "of",
        "the",
        "events",
        "of",
        "30d",
        "may",
        "be",
        "bad",
    ]
    assert lines[4][:6] == ["page", "1h", "5m", "14.4", "never:", "14.4"]
    assert lines[6] == ["ticket", "1d", "2h", "3", "0.3", "17", "7h12m"]

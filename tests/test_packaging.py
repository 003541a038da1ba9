"""The wheel as strangers get it: what is in it, what the base install brings along, how much room and memory it takes."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from remora import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
QUIET = ["-qq", "--disable-pip-version-check", "--no-input"]
MOST_MEGABYTES_INSTALLED = 180
MOST_MEGABYTES_RESIDENT = 150
EXCHANGES = 400

pytestmark = pytest.mark.timeout(600)


def run(*command, **options):
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, check=False, **options
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "pip", "wheel", *QUIET, "--no-deps", "--wheel-dir", folder, ROOT)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def base(wheel, tmp_path_factory):
    """The Python of a new environment with the base install in it, and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    assert run(sys.executable, "-m", "venv", folder).returncode == 0
    python = folder / "bin" / "python"
    done = run(python, "-m", "pip", "install", *QUIET, "--constraint", ROOT / "constraints.txt", wheel)
    assert done.returncode == 0, done.stderr
    assert run(python, "-m", "pip", "check").returncode == 0
    assert run(python, "-m", "pip", "uninstall", *QUIET, "--yes", "pip", "setuptools").returncode == 0
    return python


def in_base(base, *arguments):
    """A command of the base install, run where nothing of the source folder is in reach."""
    return run(base.parent / "remora", *arguments, cwd="/", env={"PATH": "/usr/bin:/bin"})


def test_the_wheel_holds_the_parts_with_their_files_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"remora-{__version__}.dist-info"}
    for folder, pattern in (
        ("dashboards/templates", "*.html"),
        ("dashboards/static", "*"),
        ("migrations", "*.mako"),
    ):
        files = {
            path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern) if path.is_file()
        }
        assert files
        assert files <= set(names)


def test_the_base_install_is_small(base, capsys):
    folder = next(base.parents[1].glob("lib/python3*/site-packages"))
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    with capsys.disabled():
        print(f"\nbase install: {size:.0f} MB of packages without pip")  # noqa: T201
    assert size <= MOST_MEGABYTES_INSTALLED


@pytest.mark.parametrize(
    "module", ["pandas", "scipy", "sklearn", "evidently", "plotly", "pyarrow", "apscheduler"]
)
def test_the_base_install_goes_without(base, module):
    done = run(base, "-I", "-c", f"import {module}")
    assert f"No module named '{module}'" in done.stderr


def test_the_sidecars_commands_work_in_the_base_install(base, tmp_path):
    assert in_base(base, "version").stdout == f"remora {__version__}\n"
    assert in_base(base, "sidecar", "--help").stdout.startswith("Usage: remora sidecar")
    url = f"sqlite:///{tmp_path / 'r.db'}"
    assert in_base(base, "migrate", "--database", url).stdout == f"{url}: was empty, is current\n"
    assert (
        run(
            base,
            "-I",
            "-c",
            "import collector.sidecar, collector.forwarder, collector.recorder, remora.client",
        ).stderr
        == ""
    )


@pytest.mark.parametrize("command", ["server", "demo"])
def test_a_command_that_needs_more_says_so_in_one_line(base, tmp_path, command):
    database = ["--database", f"sqlite:///{tmp_path / 'r.db'}"] if command == "server" else []
    done = in_base(base, command, *database)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert re.search(r"pip install 'remora\[server(,demo)?\]'", done.stderr)


def test_a_stranger_that_pip_merges_into_ours_is_noticed(wheel, tmp_path):
    """As pip does it: the later wheel's `detectors/__init__.py` lies over ours, and nobody says a word."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    command = [sys.executable, "-P", "-c", "from remora.ownership import check_owner; check_owner()"]
    assert run(*command, env={"PYTHONPATH": str(site)}).returncode == 0
    (site / "detectors" / "__init__.py").write_text("# another project's\n")
    done = run(*command, env={"PYTHONPATH": str(site)})
    assert "is not Remora's own" in done.stderr


# --- a sidecar of the base install at work


class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"prediction": True, "probability": 0.25}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def model_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def sidecar(base, upstream, folder):
    """The process and its port, read from the line of its log in which it says where it listens."""
    log = folder / "sidecar.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [base.parent / "remora", "sidecar", "--listen", "127.0.0.1:0", "--upstream", f"http://127.0.0.1:{upstream}",
             "--model", "stub", "--database", f"sqlite:///{folder / 'r.db'}", "--spool", folder / "spool"],
            stdout=output, stderr=output, cwd=folder, env={"PATH": "/usr/bin:/bin"},
        )  # fmt: skip

    def listening():
        assert process.poll() is None, log.read_text()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return next((line["address"] for line in lines if line["event"] == "sidecar_listening"), None)

    try:
        wait_until(listening)
        yield process, int(listening().rpartition(":")[2])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=30)


def predict(port, number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for index in range(number):
        row = {"distance": index, "carrier": "UA", "origin": "EWR", "wind": index / 7}
        connection.request("POST", "/predict", json.dumps(row), {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("x-remora-prediction-id")
        answer.read()
    connection.close()


def rows_written(base, path):
    """Counted by the base install's own Python, while the sidecar has the file open."""
    code = f"import sqlite3; print(sqlite3.connect({str(path)!r}).execute('select count(*) from predictions').fetchone()[0])"
    return int(run(base, "-c", code).stdout or 0)


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def resident(pid):
    """Megabytes of a process and of its children (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    own = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [own, *(megabytes for child in children for megabytes in resident(child))]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads memory from Linux's /proc")
def test_a_sidecar_of_the_base_install_records_and_stays_small(base, tmp_path, capsys):
    with model_server() as upstream, sidecar(base, upstream, tmp_path) as (process, port):
        predict(port, EXCHANGES)
        wait_until(lambda: rows_written(base, tmp_path / "r.db") == EXCHANGES)
        memory = resident(process.pid)
        with capsys.disabled():
            parts = " + ".join(f"{part:.0f}" for part in memory)
            print(f"\nsidecar: {sum(memory):.0f} MB resident ({parts}) after {EXCHANGES} predictions")  # noqa: T201
        assert len(memory) == 2
        assert sum(memory) <= MOST_MEGABYTES_RESIDENT
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0

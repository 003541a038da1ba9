"""The server's own spool: when it can be written no more, the process ends instead of hanging."""

from __future__ import annotations

import subprocess
import sys

SERVER = """
import sys
from pathlib import Path
from collector.gateway import Gateway
from remora.config import Config
from remora.database import connect
from remora.settings import Address, ServerSettings

folder = Path(sys.argv[1])
url = f"sqlite:///{folder}/remora.db"
settings = ServerSettings(
    listen=Address("127.0.0.1", 0), database=url, spool=folder / "spool", spool_bytes=1 << 20, config=None,
    reports=folder, token=None,
)
gateway = Gateway(connect(url), Config(), settings)
gateway.start()
gateway._spool.transact(lambda file, counts: 1 / 0).exception(10)
import time
time.sleep(30)
"""


def test_a_spool_that_dies_ends_the_server_with_a_clear_fault(tmp_path):
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 70, ended.stderr
    assert "spool_writer_died" in ended.stderr + ended.stdout
    assert "server_ends" in ended.stderr + ended.stdout

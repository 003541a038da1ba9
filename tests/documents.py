"""Reading the documentation, and the server's whole application to compare it with."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

from collector.gateway import Gateway
from remora.cli.serving import compose
from remora.config import Config
from remora.security import Guard
from remora.settings import Address, ServerSettings

ROOT = Path(__file__).resolve().parents[1]
README, ARCHITECTURE = "README.md", "ARCHITECTURE.md"
CONFIGURATION, OPERATIONS = "docs/configuration.md", "docs/operations.md"
EVERY = (README, ARCHITECTURE, CONFIGURATION, OPERATIONS)


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    """The fenced blocks of a language; '' are those without one, which hold commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)
    return [body for kind, body in found if kind == language]


def prose(name):
    return re.sub(r"^```.*?^```$", "", text_of(name), flags=re.MULTILINE | re.DOTALL)


def section(name, heading):
    """What stands below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", prose(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no heading {heading}"
    return found[1]


def table(text):
    r"""Rows of the tables in a text, as lists of cells; `\|` is no border."""
    rows = [line.strip().strip("|") for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    return [row for row in cells if not set(row[0]) <= {"-"}]


def plain(cell):
    return cell.strip("`")


def described(name, heading):
    """First cell -> the other cells, of the tables below a heading."""
    return {plain(row[0]): row[1:] for row in table(section(name, heading))[1:]}


@contextmanager
def composed(database, folder):
    """The server's whole application, its collector at work."""
    settings = ServerSettings(
        Address("127.0.0.1", 0), "", folder / "spool", 1 << 24, None, folder / "reports", None
    )
    gateway = Gateway(database, Config(), settings)
    gateway.start()
    yield compose(database, Config(), settings, Guard(None, None), gateway, lambda: None)
    gateway.stop()

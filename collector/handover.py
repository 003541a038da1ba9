"""What `remora sidecar` tells the forwarder that it becomes, and the forwarder the recorder. Light: all of them load it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

__all__ = [
    "Captured", "Forwarding", "Options", "Report", "command", "environment", "forward_command", "forward_environment",
    "read_forwarding", "read_options",
]  # fmt: skip

_VARIABLE = "REMORA_RECORDER"
_FORWARDER = "REMORA_FORWARDER"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that the recorder needs. `parent` is the forwarder's process id; 0 means that nobody is watched."""

    model: str
    version: str
    spool: str
    spool_bytes: int
    database: str | None = None
    forward: str | None = None
    config: str | None = None
    socket: str | None = None
    api: str = ""
    api_mode: str = "600"
    tls: tuple[str, str] | None = None
    trust: tuple[str | None, str | None, str | None] = (None, None, None)
    token: str | None = None
    token_rate: float = 1000.0
    forward_token: str | None = None
    hash_key: str | None = None
    parent: int = 0
    drain_seconds: float = 5.0


class Report(msgspec.Struct, omit_defaults=True):
    """The one line that the recorder writes to its standard output: it is ready, or what a person must mend."""

    ready: bool = False
    api: str = ""
    error: str = ""


class Captured(msgspec.Struct, omit_defaults=True):
    """What of remora.yaml the forwarder must know."""

    paths: list[str] = []
    ids: list[str] = []
    answer_id: bool = True
    max_body: int = 262_144


@dataclass(frozen=True, kw_only=True)
class Forwarding:
    """Everything that the forwarder needs; `recorder` is for the process that it starts. Times are in seconds."""

    listen_host: str
    listen_port: int
    upstream: str
    connect_timeout: float
    response_timeout: float
    captured: Captured
    recorder: Options


def command() -> list[str]:
    """The recorder's command line; -P keeps the current folder's files out of its imports."""
    return [sys.executable, "-P", "-m", "collector.recorder"]


def forward_command(forwarding: Forwarding) -> list[str]:
    """The forwarder's command line. What follows its name is for people who look at a list of processes."""
    return [
        sys.executable, "-P", "-m", "collector.forwarder",
        "remora", "sidecar", "--model", forwarding.recorder.model, "--upstream", forwarding.upstream,
    ]  # fmt: skip


def forward_environment(forwarding: Forwarding, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The forwarder's environment, as `environment`."""
    return {**inherited, _FORWARDER: msgspec.json.encode(forwarding).decode()}


def read_forwarding() -> Forwarding:
    """What `forward_environment` wrote, which goes no further. Raises KeyError or msgspec.MsgspecError."""
    return msgspec.json.decode(os.environ.pop(_FORWARDER), type=Forwarding)


def environment(options: Options, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The recorder's environment: secrets travel here, never on a command line that everybody can read."""
    return {**inherited, _VARIABLE: msgspec.json.encode(options).decode()}


def read_options(environ: Mapping[str, str] = os.environ) -> Options:
    """What `environment` wrote. Raises KeyError or msgspec.MsgspecError."""
    return msgspec.json.decode(environ[_VARIABLE], type=Options)

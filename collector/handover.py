"""What the forwarder tells the recorder when it starts it. Light: the forwarder imports this and little else."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

__all__ = ["Captured", "Options", "Report", "command", "describe_command", "environment", "read_options"]

_VARIABLE = "REMORA_RECORDER"


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
    """What of remora.yaml the forwarder must know, or what is wrong with the file or the options."""

    paths: list[str] = []
    ids: list[str] = []
    answer_id: bool = True
    max_body: int = 262_144
    error: str = ""


def command() -> list[str]:
    """The recorder's command line; -P keeps the current folder's files out of its imports."""
    return [sys.executable, "-P", "-m", "collector.recorder"]


def describe_command() -> list[str]:
    """A short-lived process that checks the same options before anybody is listened to."""
    return [sys.executable, "-P", "-m", "collector.describe"]


def environment(options: Options, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The recorder's environment: secrets travel here, never on a command line that everybody can read."""
    return {**inherited, _VARIABLE: msgspec.json.encode(options).decode()}


def read_options(environ: Mapping[str, str] = os.environ) -> Options:
    """What `environment` wrote. Raises KeyError or msgspec.MsgspecError."""
    return msgspec.json.decode(environ[_VARIABLE], type=Options)

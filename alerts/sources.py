"""Where addresses and secrets come from: inline, a file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from remora.config.base import Section
from remora.errors import UserError

__all__ = ["is_http", "read"]


def read(what: str, section: Section, key: str, environment: Mapping[str, str]) -> str | None:
    """The text of `key`, `key_file` or `key_env`; raises `UserError` that names `what`, the file or the variable."""
    inline, file, variable = (getattr(section, f"{key}{suffix}") for suffix in ("", "_file", "_env"))
    if inline is not None:
        return str(inline.get_secret_value())
    if file is not None:
        return _from_file(what, key, Path(file))
    if variable is None:
        return None
    if not environment.get(variable):
        raise UserError(f"{what}: {key}_env names {variable}, which is not set in the environment")
    return environment[variable].strip()


def _from_file(what: str, key: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{what}: {key}_file {path} cannot be read: {reason}") from None
    if not text or "\n" in text:
        raise UserError(f"{what}: {key}_file {path} must hold one line with the {key}")
    return text


def is_http(url: str) -> bool:
    """Whether it can be called: http or https, a host, and no password in it."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and not parts.username
            and parts.port != 0
        )
    except ValueError:
        return False

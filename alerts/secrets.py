"""Where the receivers' addresses and secrets come from: inline, a file or the environment. Resolved here alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from alerts.receivers.base import Target
from alerts.signing import check_secret
from remora.config import Config
from remora.config.alerting import Receiver
from remora.errors import UserError

__all__ = ["resolve"]


def resolve(config: Config, environment: Mapping[str, str] | None = None) -> dict[str, Target]:
    """The target of every receiver; raises `UserError` that names the receiver and the file or variable."""
    known = os.environ if environment is None else environment
    return {name: _target(name, receiver, known) for name, receiver in config.receivers.items()}


def _target(name: str, receiver: Receiver, environment: Mapping[str, str]) -> Target:
    url = _read(name, "url", receiver.url, receiver.url_file, receiver.url_env, environment)
    secret = _read(name, "secret", receiver.secret, receiver.secret_file, receiver.secret_env, environment)
    if url is None or not _is_http(url):
        raise UserError(f"receiver {name}: its url is not an http or https URL without a password in it")
    wrong = check_secret(secret) if secret is not None else None
    if wrong:
        raise UserError(f"receiver {name}: its secret {wrong}")
    return Target(SecretStr(url), SecretStr(secret) if secret is not None else None)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username
    except ValueError:
        return False


def _read(
    name: str, what: str, inline: SecretStr | None, file: str | None, variable: str | None,
    environment: Mapping[str, str],
) -> str | None:  # fmt: skip
    if inline is not None:
        return inline.get_secret_value()
    if file is not None:
        return _from_file(name, what, Path(file))
    if variable is None:
        return None
    if not environment.get(variable):
        raise UserError(f"receiver {name}: {what}_env names {variable}, which is not set in the environment")
    return environment[variable].strip()


def _from_file(name: str, what: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"receiver {name}: {what}_file {path} cannot be read: {reason}") from None
    if not text or "\n" in text:
        raise UserError(f"receiver {name}: {what}_file {path} must hold one line with the {what}")
    return text

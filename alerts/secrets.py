"""Where the receivers' addresses and secrets come from: inline, a file or the environment. Resolved here alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from alerts.receivers.base import Target
from alerts.signing import check_secret
from remora.config import Config
from remora.config.receivers import Alertmanager, Apprise, Email, PagerDuty, Receiver, Slack, Webhook
from remora.errors import UserError

__all__ = ["resolve"]

_SLACK = "https://slack.com/api/chat.postMessage"
_Read = Callable[[str], str | None]


def resolve(config: Config, environment: Mapping[str, str] | None = None) -> dict[str, Target]:
    """The target of every receiver; raises `UserError` that names the receiver and the file or variable."""
    known = os.environ if environment is None else environment
    return {name: _target(name, receiver, known) for name, receiver in config.receivers.items()}


def _target(name: str, receiver: Receiver, environment: Mapping[str, str]) -> Target:
    def read(key: str) -> str | None:
        return _read(name, receiver, key, environment)

    try:
        url, secret = _places(receiver, read)
    except ValueError as error:
        raise UserError(f"receiver {name}: {error}") from None
    return Target(SecretStr(url), receiver, SecretStr(secret) if secret is not None else None)


def _places(receiver: Receiver, read: _Read) -> tuple[str, str | None]:
    """The URL that is called and the secret that is shown there; raises ValueError, which shows neither."""
    if isinstance(receiver, Email):
        return f"smtp://{receiver.host}:{receiver.port}", read("password")
    if isinstance(receiver, Apprise):
        return read("url") or "", None
    if isinstance(receiver, PagerDuty):
        return _http(f"{receiver.api.rstrip('/')}/v2/enqueue"), read("routing_key")
    if isinstance(receiver, Slack):
        token = read("token")
        return (_SLACK, token) if token else (_http(read("url")), None)
    url = _http(read("url"))
    if isinstance(receiver, Alertmanager):
        return url.rstrip("/") + "/api/v2/alerts", read("token")
    return url, _webhook_secret(read("secret")) if isinstance(receiver, Webhook) else None


def _http(url: str | None) -> str:
    if url is None or not _is_http(url):
        raise ValueError("its url is not an http or https URL without a password in it")
    return url


def _is_http(url: str) -> bool:
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


def _webhook_secret(secret: str | None) -> str | None:
    wrong = check_secret(secret) if secret is not None else None
    if wrong:
        raise ValueError(f"its secret {wrong}")
    return secret


def _read(name: str, receiver: Receiver, key: str, environment: Mapping[str, str]) -> str | None:
    inline: SecretStr | None = getattr(receiver, key)
    file: str | None = getattr(receiver, f"{key}_file")
    variable: str | None = getattr(receiver, f"{key}_env")
    if inline is not None:
        return inline.get_secret_value()
    if file is not None:
        return _from_file(name, key, Path(file))
    if variable is None:
        return None
    if not environment.get(variable):
        raise UserError(f"receiver {name}: {key}_env names {variable}, which is not set in the environment")
    return environment[variable].strip()


def _from_file(name: str, key: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"receiver {name}: {key}_file {path} cannot be read: {reason}") from None
    if not text or "\n" in text:
        raise UserError(f"receiver {name}: {key}_file {path} must hold one line with the {key}")
    return text

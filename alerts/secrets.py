"""The receivers' addresses and secrets, resolved: here alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from alerts import sources
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
        return sources.read(f"receiver {name}", receiver, key, environment)

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
    if url is None or not sources.is_http(url):
        raise ValueError("its url is not an http or https URL without a password in it")
    return url


def _webhook_secret(secret: str | None) -> str | None:
    wrong = check_secret(secret) if secret is not None else None
    if wrong:
        raise ValueError(f"its secret {wrong}")
    return secret

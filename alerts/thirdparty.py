"""Hand a text to apprise, which knows some 130 services. It is synchronous, follows its own rules and answers yes or no."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from alerts.receivers.base import Answer, Notice
from remora.errors import UserError

__all__ = ["notify", "require"]


def require() -> Any:
    """The module; raises `UserError` where the extra is not installed."""
    try:
        apprise = importlib.import_module("apprise")
    except ImportError:
        raise UserError(
            "receivers of kind apprise need the apprise extra: pip install 'remora[apprise]'"
        ) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its log lines show URLs, and those are secrets
    return apprise


def notify(notice: Notice, *, timeout: float) -> Answer:
    """One `notify()`, without apprise's own retries: the outbox owns those. 200 is yes, 502 is no."""
    apprise = require()
    url = notice.url.get_secret_value()
    joined = f"{url}{'&' if '?' in url else '?'}cto={min(5.0, timeout)}&rto={timeout}&retry=0&redirect=no"
    service = apprise.Apprise()
    if not service.add(joined):
        return Answer(400, None, b"apprise does not understand the url")
    taken = service.notify(
        title=notice.title,
        body=notice.text,
        notify_type=notice.mood,
        body_format="text",
        interpret_escapes=False,
    )
    return Answer(200 if taken else 502, None, b"" if taken else b"apprise could not deliver it")

"""What all receivers share: the event that is told, the request that tells it, and what an answer means.

A receiver is a few pure functions. It does no I/O and never retries: the sender owns both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

from remora.config.receivers import ReceiverBase

__all__ = [
    "Alert", "Answer", "Event", "Incident", "Mail", "Notice", "Outgoing", "ReceiverKind", "Request", "Target",
    "Verdict", "by_status", "clip", "iso", "no_reference", "post_json", "redact", "to_json",
]  # fmt: skip


@dataclass(frozen=True)
class Alert:
    """One alert as a person or program is told of it. Numbers are shown as the pages show them."""

    fingerprint: str
    status: str  # firing | resolved
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    window_start: datetime
    window_end: datetime
    url: str
    metric: str = ""  # title
    value: float | None = None
    shown: str = "-"
    reference: str = ""  # `0.731 in the reference`
    threshold: str = ""  # `alarm at < 92.0 %`
    now: str = ""  # of a resolved one: what is measured now
    evidence: Sequence[str] = ()
    runbook_url: str = ""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True)
class Incident:
    """One incident, as it was when the event happened."""

    id: str
    plan: str
    title: str
    model: str
    state: str
    severity: str
    opened_at: datetime
    url: str
    acknowledged_by: str = ""
    runbook_url: str = ""
    checklist: Sequence[str] = ()
    links: Mapping[str, str] = field(default_factory=dict)  # signed: acknowledge, silence, approve, reject


@dataclass(frozen=True)
class Event:
    """What happened. `type` decides which of the optional parts are there."""

    type: str  # alert.firing alert.resolved alert.no_data incident.… test
    timestamp: datetime
    receiver: str
    title: str
    external_url: str
    alerts: Sequence[Alert] = ()
    reason: str = ""
    group_key: str = ""
    group_labels: Mapping[str, str] = field(default_factory=dict)
    incident: Incident | None = None

    @property
    def firing(self) -> bool:
        if self.incident is not None:
            return self.incident.state != "resolved"
        return any(alert.status == "firing" for alert in self.alerts)


@dataclass(frozen=True)
class Target:
    """Where a receiver is, with its secrets, none of which prints. What the secret is depends on the kind."""

    url: SecretStr
    settings: ReceiverBase
    secret: SecretStr | None = None

    def secrets(self) -> list[str]:
        """Every text that must not appear anywhere."""
        return [self.url.get_secret_value(), *([self.secret.get_secret_value()] if self.secret else [])]


@dataclass(frozen=True)
class Outgoing:
    """A delivery at the moment of one attempt.

    `timestamp` is in unix seconds of the attempt; `reference` is what the receiver called its newest message about
    the same group or incident, where it names them.
    """

    id: str
    body: bytes
    timestamp: int
    kind: str = ""
    reference: str = ""


@dataclass(frozen=True)
class Request:
    """An HTTP call, ready to be made. The URL is a secret with many receivers, and so are some headers and bodies."""

    method: str
    url: SecretStr
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Mail:
    """A mail, ready to be handed to its server."""

    host: str
    port: int
    tls: str  # starttls | tls | none
    username: str
    password: SecretStr | None
    sender: str
    recipients: Sequence[str]
    message: bytes = field(repr=False)
    thread: str = ""  # the Message-ID that later mails about the same thing answer to


@dataclass(frozen=True)
class Notice:
    """A text for one of apprise's services; `mood` is info, success, warning or failure."""

    url: SecretStr
    title: str
    text: str
    mood: str


@dataclass(frozen=True)
class Answer:
    """What came back: at most the first part of the body."""

    status: int
    retry_after: str | None
    excerpt: bytes
    location: str | None = None


class Verdict(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    FINAL = "final"


def by_status(answer: Answer) -> Verdict:
    """2xx is success. Redirects are not followed, but somebody may mend the address: they are tried again."""
    status = answer.status
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if 300 <= status < 400 or status >= 500 or status in {408, 425, 429}:
        return Verdict.RETRY
    return Verdict.FINAL


def no_reference(answer: Answer) -> str:  # noqa: ARG001  # most receivers do not name their messages
    """The receiver does not say what it calls the message."""
    return ""


@dataclass(frozen=True)
class ReceiverKind:
    """`body` is frozen when the event is decided; `request` is built anew for each attempt."""

    body: Callable[[Event, Any], bytes]
    request: Callable[[Outgoing, Target], Request | Mail | Notice]
    verdict: Callable[[Answer], Verdict] = by_status
    reference: Callable[[Answer], str] = no_reference


def to_json(value: Any) -> bytes:
    """Compact JSON; a half of a surrogate pair, which no UTF-8 has, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def post_json(url: SecretStr, body: bytes, headers: Mapping[str, str] | None = None) -> Request:
    """The call that most receivers take."""
    return Request(
        "POST", url, {"content-type": "application/json", "user-agent": "remora", **(headers or {})}, body
    )


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def iso(at: datetime) -> str:
    """RFC 3339 with Z."""
    return at.isoformat().replace("+00:00", "Z")


def redact(text: str, secrets: Sequence[str]) -> str:
    """The text without any secret; parts of a URL behind its host count as secret too."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "<secret>")
        path = secret.split("://", 1)[-1].partition("/")[2]
        if "://" in secret and len(path) >= 8:
            text = text.replace(path, "<secret>")
    return text

"""What all receivers share: the event that is told, the request that tells it, and what an answer means.

A receiver is three pure functions. It does no I/O and never retries: the sender owns both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import SecretStr

__all__ = [
    "Alert", "Event", "Incident", "Outgoing", "ReceiverKind", "Request", "Target", "Verdict", "clip",
    "default_verdict", "iso", "redact",
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


@dataclass(frozen=True)
class Event:
    """What happened. `type` decides which of the optional parts are there."""

    type: str  # alert.firing alert.resolved alert.no_data incident.… action.requested test
    timestamp: datetime
    receiver: str
    title: str
    external_url: str
    alerts: Sequence[Alert] = ()
    reason: str = ""
    group_key: str = ""
    group_labels: Mapping[str, str] = field(default_factory=dict)
    incident: Incident | None = None
    action: Mapping[str, Any] | None = None

    @property
    def firing(self) -> bool:
        if self.incident is not None:
            return self.incident.state != "resolved"
        return any(alert.status == "firing" for alert in self.alerts)


@dataclass(frozen=True)
class Target:
    """Where a receiver is, with its secrets; neither prints."""

    url: SecretStr
    secret: SecretStr | None = None

    def secrets(self) -> list[str]:
        """Every text that must not appear anywhere."""
        return [self.url.get_secret_value(), *([self.secret.get_secret_value()] if self.secret else [])]


@dataclass(frozen=True)
class Outgoing:
    """A delivery at the moment of one attempt; `timestamp` is in unix seconds of the attempt."""

    id: str
    body: bytes
    timestamp: int


@dataclass(frozen=True)
class Request:
    """An HTTP call, ready to be made. The URL is a secret with many receivers."""

    method: str
    url: SecretStr
    headers: Mapping[str, str]
    body: bytes


class Verdict(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    FINAL = "final"


@dataclass(frozen=True)
class ReceiverKind:
    """`body(event, format)` is frozen when the event is decided; `request` is built anew for each attempt."""

    body: Callable[[Event, str], bytes]
    request: Callable[[Outgoing, Target], Request]
    verdict: Callable[[int], Verdict]


def default_verdict(status: int) -> Verdict:
    """2xx is success. Redirects are not followed, but somebody may mend the address: they are tried again."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if 300 <= status < 400 or status >= 500 or status in {408, 425, 429}:
        return Verdict.RETRY
    return Verdict.FINAL


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

"""Events of every kind, and the settings of every kind of receiver, for tests of what is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr, TypeAdapter

from alerts.receivers.base import Alert, Event, Incident, Target
from remora.config.receivers import Receiver, ReceiverBase
from tests.example_alerts import SECRET

NOW = datetime(2013, 3, 1, tzinfo=UTC)
URL = "http://hooks.example/T0/very-secret"
_SETTINGS: dict[str, dict[str, Any]] = {
    "webhook": {"url": URL, "secret": SECRET},
    "slack": {"url": URL},
    "slack bot": {"kind": "slack", "token": "xoxb-hush-hush", "channel": "C0123"},
    "teams": {"url": URL},
    "pagerduty": {"routing_key": "0123456789abcdef-hush"},
    "alertmanager": {"url": URL, "token": "hush-hush-token"},
    "email": {"host": "mail.example", "from": "Remora <remora@example.com>", "to": ["sre@example.com"],
              "username": "remora", "password": "hush-hush-password"},
    "apprise": {"url": "ntfy://hush-hush-topic"},
}  # fmt: skip
NAMES = list(_SETTINGS)
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Receiver)


def settings_of(name: str, **more: Any) -> Any:
    """The section of one receiver; `slack bot` is Slack by a token."""
    return _ADAPTER.validate_python({"kind": name, **_SETTINGS[name], **more})


def target_of(settings: ReceiverBase, url: str = URL, secret: str | None = None) -> Target:
    return Target(SecretStr(url), settings, SecretStr(secret) if secret else None)


def alert(text: str = "x", status: str = "firing", number: int = 0) -> Alert:
    return Alert(
        fingerprint=f"{number:016x}", status=status, labels={"alertname": text, "model": text, "team": text},
        annotations={"summary": text, "description": text}, starts_at=NOW,
        ends_at=NOW + timedelta(hours=1) if status == "resolved" else None, window_start=NOW,
        window_end=NOW, url="http://remora.example/alerts/1", metric="Accuracy", value=0.7, shown="70.0 %",
        reference=f"reference {text}", threshold="alarm at < 80.0 %", evidence=[text] * 5, runbook_url="http://wiki.example/r",
    )  # fmt: skip


def events(text: str = "x", count: int = 1) -> list[Event]:
    alerts = [alert(text, number=number) for number in range(count)]
    incident = Incident("inc_1", "plan", text, text, "open", text, NOW, "http://remora.example/incidents/1",
                        acknowledged_by=text, runbook_url="http://wiki.example/r", checklist=[text] * 20)  # fmt: skip
    common = {"timestamp": NOW, "receiver": "r", "title": text, "external_url": "http://remora.example"}
    return [
        Event("alert.firing", alerts=alerts, reason="first notification", group_key=text, group_labels={"a": text}, **common),
        Event("alert.resolved", alerts=[alert(text, "resolved")], reason="all alerts resolved", **common),
        *(Event(kind, alerts=alerts, incident=incident, reason=text, **common)
          for kind in ("incident.opened", "incident.updated", "incident.escalated", "incident.acknowledged",
                       "incident.resolved")),
    ]  # fmt: skip

"""The receivers there are. A new one is a file beside these and a line in this list."""

from __future__ import annotations

from alerts.receivers import alertmanager, apprise, email, pagerduty, slack, teams, webhook
from alerts.receivers.base import ReceiverKind

__all__ = ["RECEIVERS"]

RECEIVERS: dict[str, ReceiverKind] = {
    "webhook": webhook.KIND,
    "slack": slack.KIND,
    "teams": teams.KIND,
    "pagerduty": pagerduty.KIND,
    "alertmanager": alertmanager.KIND,
    "email": email.KIND,
    "apprise": apprise.KIND,
}

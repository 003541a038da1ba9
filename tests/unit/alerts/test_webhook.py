from __future__ import annotations

import json

from alerts.receivers import webhook
from tests.example_events import events, settings_of


def test_alertmanager_bodies_have_alertmanagers_fields():
    body = json.loads(webhook.KIND.body(events()[0], settings_of("webhook", body="alertmanager.v4")))
    assert list(body) == [
        "receiver", "status", "alerts", "notification_reason", "groupLabels", "commonLabels", "commonAnnotations",
        "routeLabels", "externalURL", "version", "groupKey", "truncatedAlerts",
    ]  # fmt: skip
    assert body["version"] == "4"
    assert set(body["alerts"][0]) == {
        "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint",
    }  # fmt: skip

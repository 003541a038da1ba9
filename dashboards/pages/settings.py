"""The configuration as it is in force, secrets hidden."""

from __future__ import annotations

from dashboards.pages.asked import Asked, Page
from dashboards.views import settings as view

__all__ = ["settings"]


def settings(asked: Asked) -> Page:
    """Every setting of the file with its value and where it comes from, and how this server was started."""
    rows = view.settings(asked.config)
    return asked.page(
        asked.listing("process", view.PROCESS, list(asked.process.items())),
        asked.listing("settings", view.SETTINGS, rows),
        given=sum(row.given for row in rows),
    )

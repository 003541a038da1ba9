"""Collectors: the sidecars and servers that were heard of."""

from __future__ import annotations

from dashboards.pages.asked import Asked, Page
from dashboards.queries import collectors as queries
from dashboards.views import collectors as view
from remora import __version__

__all__ = ["collectors"]


def collectors(asked: Asked) -> Page:
    """The page. Collectors live in real time, whatever the business clock says."""
    rows = view.collectors(queries.seen(asked.connection), asked.wall, __version__)
    return asked.page(asked.listing("collectors", view.COLLECTORS, rows), wall=asked.wall)

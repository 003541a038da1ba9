"""What stands on each page: one function per page, a handful of queries each."""

from dashboards.pages.alert import alert
from dashboards.pages.asked import Asked
from dashboards.pages.collectors import collectors
from dashboards.pages.feature import feature
from dashboards.pages.incident import incident
from dashboards.pages.lists import alerts, deliveries, incidents
from dashboards.pages.model import model
from dashboards.pages.overview import overview
from dashboards.pages.reports import report, reports
from dashboards.pages.rules import rules
from dashboards.pages.settings import settings

__all__ = [
    "Asked",
    "alert",
    "alerts",
    "collectors",
    "deliveries",
    "feature",
    "incident",
    "incidents",
    "model",
    "overview",
    "report",
    "reports",
    "rules",
    "settings",
]

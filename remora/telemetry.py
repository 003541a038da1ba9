"""Logs and metrics of Remora itself: one JSON line per event on stderr, one registry for Prometheus."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

__all__ = ["REGISTRY", "configure_logging", "get_logger"]

REGISTRY = CollectorRegistry()
"""Every part registers its own counters here; the process that runs the part exposes them."""


def configure_logging(*, level: str = "info", as_json: bool | None = None) -> None:
    """Send events to stderr: for people where it is a terminal, else one JSON object per line."""
    render = not sys.stderr.isatty() if as_json is None else as_json
    renderer: Any = structlog.processors.JSONRenderer() if render else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger(part: str) -> Any:
    """A logger that says which part speaks."""
    return structlog.get_logger(part=part)

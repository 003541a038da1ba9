"""Logs and metrics of Remora itself: one JSON line per event on stderr, one registry for Prometheus."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    REGISTRY: CollectorRegistry

# structlog loads rich where it is installed, for tracebacks in colours that nobody sees here. Every process of ours would
# start later by a tenth of a second for it, and carry 4 MB. None reads as: it is not installed.
_unwanted = "rich" not in sys.modules
if _unwanted:
    sys.modules["rich"] = cast("Any", None)
import structlog  # noqa: E402

if _unwanted:
    del sys.modules["rich"]

__all__ = ["REGISTRY", "configure_logging", "get_logger"]


def __getattr__(name: str) -> Any:
    """`REGISTRY`: every part registers its own counters there; the process that runs the part exposes them.

    Made when it is first asked for: a forwarder, whose counters lie in the ring, goes without prometheus_client.
    """
    if name != "REGISTRY":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    found = globals()["REGISTRY"] = CollectorRegistry()
    return found


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

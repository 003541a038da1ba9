"""CloudEvents of KServe's and Seldon's loggers: requests and answers that arrive apart, and feedback."""

from collector.events.sink import Events

__all__ = ["Events"]

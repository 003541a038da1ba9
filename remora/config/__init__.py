"""remora.yaml: what to watch, when to alarm, whom to tell, what to do. Validated as a whole."""

from remora.config.load import Config, load, parse

__all__ = ["Config", "load", "parse"]

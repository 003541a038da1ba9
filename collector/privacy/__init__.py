"""What is kept of a prediction: redaction before the spool, sampling and profiles at its end."""

from collector.privacy.gate import Gate

__all__ = ["Gate"]

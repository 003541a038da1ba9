"""What is kept of a prediction: redaction before the spool, sampling and profiles at its end."""

from collector.privacy.gate import Gate
from collector.privacy.keeping import Keeper

__all__ = ["Gate", "Keeper"]

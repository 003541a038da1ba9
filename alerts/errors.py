"""What can go wrong in the alerts.

AlertsError
├── BlockedAddressError   a receiver's name leads to an address that is never called
└── CommandError          a local command was not started
"""

from __future__ import annotations

from remora.errors import RemoraError

__all__ = ["AlertsError", "BlockedAddressError", "CommandError"]


class AlertsError(RemoraError):
    """The root of this part's errors."""


class BlockedAddressError(AlertsError):
    """A receiver's host resolves to a link-local or metadata address."""


class CommandError(AlertsError):
    """A local command was not started."""

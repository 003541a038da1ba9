"""What can go wrong in the alerts.

AlertsError
├── BlockedAddressError   a receiver's name leads to an address that is never called
└── SuperfluousError      somebody else did this evaluation already; its transaction is undone
"""

from __future__ import annotations

from remora.errors import RemoraError

__all__ = ["AlertsError", "BlockedAddressError", "SuperfluousError"]


class AlertsError(RemoraError):
    """The root of this part's errors."""


class BlockedAddressError(AlertsError):
    """A receiver's host resolves to a link-local or metadata address."""


class SuperfluousError(AlertsError):
    """The work was done by another process in the meantime."""

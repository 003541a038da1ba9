"""Nothing gets lost on the way without being counted: what comes into a stage is what comes out of it.

    requests    received  = captured + not_prediction + dropped_full + dropped_oversize            (ring)
    api         read      = taken + rejected + refused                                             (this process)
    records     accepted  = delivered + set_aside + expired + pending                              (spool)
    deliveries  delivered = written + repeated + unkept                                            (spool)

`difference` is left minus right. It is 0, save that of the requests: those under way, and those that a kill of the
forwarder took with it before they were answered, have been received and have not become anything.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EQUATIONS", "balance"]

EQUATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "requests": ("received", ("captured", "not_prediction", "dropped_full", "dropped_oversize")),
    "api": ("read", ("taken", "rejected", "refused")),
    "records": ("accepted", ("delivered", "set_aside", "expired", "pending")),
    "deliveries": ("delivered", ("written", "repeated", "unkept")),
}


def balance(counters: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Each equation over the counters of its stage, with its `difference`; stages without counters are left out."""
    found = {}
    for stage, (whole, parts) in EQUATIONS.items():
        known = counters.get(stage)
        if known:
            shown = {name: known[name] for name in (whole, *parts)}
            shown["difference"] = shown[whole] - sum(shown[part] for part in parts)
            found[stage] = shown
    return found

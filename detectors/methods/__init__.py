"""Every method, one file each; add a metric of a column by one line here and one in `remora.catalogue`."""

from detectors.base import FeatureMethod
from detectors.methods import missing, performance, psi, traffic, unseen

__all__ = ["FEATURE_METHODS", "KINDS", "performance", "traffic"]

FEATURE_METHODS: dict[str, FeatureMethod] = {
    "psi": psi.judge,
    "missing_rate": missing.judge,
    "unseen_rate": unseen.judge,
}

# Which kinds of column each can be asked of.
KINDS: dict[str, tuple[str, ...]] = {
    "psi": ("numeric", "categorical"),
    "missing_rate": ("numeric", "categorical"),
    "unseen_rate": ("categorical",),
}

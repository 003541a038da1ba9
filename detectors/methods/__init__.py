"""Every method, one file each; add a metric of a column by one line here and one in `remora.catalogue`."""

from detectors.base import FeatureMethod
from detectors.methods import (
    chi_square,
    direct_loss,
    domain,
    duplicates,
    estimated,
    hellinger,
    jensen_shannon,
    ks,
    missing,
    out_of_range,
    performance,
    psi,
    reconstruction,
    schema,
    stuck,
    total_variation,
    traffic,
    unseen,
    vanished,
    volume,
    wasserstein,
    wrong_type,
)

__all__ = [
    "FEATURE_METHODS",
    "KINDS",
    "MULTIVARIATE",
    "direct_loss",
    "duplicates",
    "estimated",
    "performance",
    "schema",
    "traffic",
    "volume",
]

FEATURE_METHODS: dict[str, FeatureMethod] = {
    "psi": psi.judge,
    "ks": ks.judge,
    "wasserstein": wasserstein.judge,
    "jensen_shannon": jensen_shannon.judge,
    "hellinger": hellinger.judge,
    "total_variation": total_variation.judge,
    "chi_square": chi_square.judge,
    "missing_rate": missing.judge,
    "unseen_rate": unseen.judge,
    "vanished_rate": vanished.judge,
    "out_of_range_rate": out_of_range.judge,
    "wrong_type_rate": wrong_type.judge,
    "stuck_rate": stuck.judge,
}

# Of all features together, from rows; asked for by `drift.multivariate`.
MULTIVARIATE = {domain.METRIC: domain.judge, reconstruction.METRIC: reconstruction.judge}

_BOTH, _NUMBERS, _NAMES = ("numeric", "categorical"), ("numeric",), ("categorical",)

# Which kinds of column each can be asked of.
KINDS: dict[str, tuple[str, ...]] = {
    "psi": _BOTH,
    "ks": _NUMBERS,
    "wasserstein": _NUMBERS,
    "jensen_shannon": _BOTH,
    "hellinger": _BOTH,
    "total_variation": _BOTH,
    "chi_square": _BOTH,
    "missing_rate": _BOTH,
    "unseen_rate": _NAMES,
    "vanished_rate": _NAMES,
    "out_of_range_rate": _NUMBERS,
    "wrong_type_rate": _BOTH,
    "stuck_rate": _BOTH,
}

"""What a path says: which model and version is asked, and whether it is asked for a prediction at all."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_control_path", "model_of", "version_of"]

_CONTROL = re.compile(
    r"""(?x) (?:^|/)(?:
        v2/repository/.*                     # Open Inference: load, unload, index
      | v2/models/[^/]+/(?:load|unload|trace/setting|stats)
      | v2/(?:systemsharedmemory|cudasharedmemory|trace|logging)/?.*
      | api/v[0-9.]+/feedback                # Seldon: a label, no prediction
      | healthz? | livez | readyz | ping | metrics
    )/?$"""
)
_MODEL = re.compile(r"(?:^|/)v[12]/models/([^/:]+)")
_VERSION = re.compile(r"/v[12]/models/[^/:]+/versions/([^/:]+)")


@lru_cache(maxsize=1024)
def is_control_path(path: str) -> bool:
    """Whether a known model server does not predict at this path: health, model management, feedback."""
    return _CONTROL.search(path) is not None


@lru_cache(maxsize=1024)
def model_of(path: str) -> str | None:
    """The model that a path of Open Inference, TF-Serving or KServe names."""
    found = _MODEL.search(path)
    return found[1] if found else None


def version_of(path: str) -> str | None:
    """The version that such a path asks for."""
    found = _VERSION.search(path)
    return found[1] if found else None

"""Which id a prediction has: the one place where the precedence is written down.

1. the first of `capture.ids`: request headers and the body's own id. Where it says nothing, that of an Open Inference
   body (`id`; outside the proxy also Seldon's `meta.puid`), then `X-Amzn-SageMaker-Inference-Id`, `Ce-Id` as KServe's
   logger and Knative send it, `X-Request-Id`;
2. none of these: one is made.
"""

from __future__ import annotations

import re

__all__ = ["BODY", "ID_HEADERS", "USUAL", "usable"]

ID_HEADERS = (
    "x-amzn-sagemaker-inference-id",
    "ce-id",
    "x-request-id",
)  # after the body's own id, in this order

BODY = "body"  # in an order of ids: the one that a body gives itself
USUAL = (BODY, *ID_HEADERS)

_USABLE = re.compile(r"[ -~]{1,128}")


def usable(value: object) -> str | None:
    """An id as it is kept: 1 to 128 printable ASCII characters; a whole number is written out. Else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _USABLE.fullmatch(value) else None

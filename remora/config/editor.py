"""The JSON schema of remora.yaml, by which editors complete and underline while somebody writes."""

from __future__ import annotations

from typing import Any

from remora.catalogue import METRICS
from remora.config.load import Config

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """The schema of the whole file, JSON Schema 2020-12, made from the models that read it.

    It knows keys, kinds, ranges and the names of metrics. What one section says of another (a plan that a rule names)
    only `remora check` sees.
    """
    schema = Config.model_json_schema(by_alias=True)
    _named_by_pattern(schema)
    schema["$defs"]["Rule"]["properties"]["metric"] |= {"enum": list(METRICS)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Remora's configuration, remora.yaml",
    }


def _named_by_pattern(node: Any) -> None:
    """Names that their pattern does not fit are mistakes; pydantic leaves it at the pattern."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node.setdefault("additionalProperties", False)
        for child in node.values():
            _named_by_pattern(child)
    elif isinstance(node, list):
        for child in node:
            _named_by_pattern(child)

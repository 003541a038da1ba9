"""`remora schema`."""

import json

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON schema of remora.yaml: editors complete and check by it while you write."""
    from remora.config.editor import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))

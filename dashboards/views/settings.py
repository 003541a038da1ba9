"""The configuration as rows: path, value, and whether the file gives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, SecretStr

from dashboards.listing import Column
from remora.config import Config
from remora.config.base import format_duration

__all__ = ["HIDDEN", "PROCESS", "SETTINGS", "Setting", "settings"]

HIDDEN = "(hidden)"


@dataclass(frozen=True)
class Setting:
    """`models.flights.windows.size`, `1d`, given in the file."""

    path: str
    value: str
    given: bool


SETTINGS = (
    Column("setting", "Setting", lambda row: row.path, head=True),
    Column("value", "Value", lambda row: row.value),
    Column("from", "From", lambda row: "file" if row.given else "default"),
)
PROCESS = (
    Column("option", "Option", lambda row: row[0], head=True),
    Column("value", "Value", lambda row: row[1], lambda row: row[1]),
)


def settings(config: Config) -> list[Setting]:
    """Every setting of the configuration; a secret's value is not among them."""
    return list(_walk(config, "", given=True))


def _walk(value: Any, path: str, *, given: bool) -> Iterator[Setting]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            mine = given and name in value.model_fields_set
            yield from _walk(getattr(value, name), f"{path}.{field.alias or name}".lstrip("."), given=mine)
    elif isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _walk(inner, f"{path}.{name}", given=given)
    elif isinstance(value, list) and value and not all(isinstance(one, str) for one in value):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{index}]", given=given)
    else:
        yield Setting(path, _text(value), given)


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value in ({}, []):
        return "none"
    return (
        ", ".join(value)
        if isinstance(value, list)
        else value
        if isinstance(value, str)
        else json.dumps(value)
    )

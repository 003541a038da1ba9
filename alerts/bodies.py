"""What the API accepts. Unknown keys are mistakes."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.types import AwareDatetime

from remora.config.base import Duration

__all__ = [
    "SHORT", "Acknowledgement", "ActionStatus", "Matcher", "NewPause", "NewSilence", "Note", "Quiet", "Redelivery", "Tick",
    "schema",
]  # fmt: skip

SHORT = timedelta(hours=2)
"""How long a silence lasts that does not say it."""


def _plain_text(value: object) -> object:
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("a NUL is no text")
    return value


Text = Annotated[str, BeforeValidator(_plain_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ActionStatus(_Strict):
    """A callback of whoever runs the action."""

    status: Literal["running", "succeeded", "failed"]
    model_version: Text | None = Field(default=None, max_length=200)
    url: Text | None = Field(default=None, max_length=2000)
    detail: Text | None = Field(default=None, max_length=4000)


class Acknowledgement(_Strict):
    """Who decides, and what they want to add."""

    by: Text = Field(min_length=1, max_length=200)
    note: Text | None = Field(default=None, max_length=2000)


class Note(_Strict):
    by: Text = Field(min_length=1, max_length=200)
    text: Text = Field(min_length=1, max_length=2000)


class Tick(_Strict):
    """An item of a checklist: the step of the plan and the item in it, both from 0."""

    by: Text = Field(min_length=1, max_length=200)
    step: int = Field(ge=0, le=1000)
    item: int = Field(ge=0, le=1000)
    done: bool = True


class Quiet(_Strict):
    """Silence the alerts of an incident."""

    by: Text = Field(min_length=1, max_length=200)
    duration: Duration = Field(default=SHORT, gt=timedelta(0))


class Redelivery(_Strict):
    """Who has a message sent again."""

    by: Text = Field(default="api", min_length=1, max_length=200)


class NewPause(_Strict):
    """Nothing is started for a model, or for none; without `duration` until the pause is ended."""

    model: Text | None = Field(default=None, min_length=1, max_length=200)
    by: Text = Field(min_length=1, max_length=200)
    comment: Text = Field(default="", max_length=2000)
    duration: Duration | None = Field(default=None, gt=timedelta(0))


class Matcher(_Strict):
    """As Alertmanager writes it."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)
    value: Text = Field(max_length=500)
    is_regex: bool = Field(default=False, alias="isRegex")
    is_equal: bool = Field(default=True, alias="isEqual")

    @model_validator(mode="after")
    def _pattern(self) -> Self:
        if self.is_regex:
            try:
                re.compile(self.value)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"the pattern cannot be read: {error}") from None
        return self


class NewSilence(_Strict):
    """As Alertmanager writes it; `duration` may stand for `endsAt`."""

    matchers: list[Matcher] = Field(min_length=1, max_length=20)
    starts_at: AwareDatetime | None = Field(default=None, alias="startsAt")
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    duration: Duration | None = None
    created_by: Text = Field(default="api", alias="createdBy", min_length=1, max_length=200)
    comment: Text = Field(default="", max_length=2000)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.ends_at is not None and self.duration is not None:
            raise ValueError("give endsAt or duration, not both")
        if all(_matches_nothing(matcher) for matcher in self.matchers):
            raise ValueError(
                "at least one matcher must ask for something: these fit alerts without any label"
            )
        return self


def _matches_nothing(matcher: Matcher) -> bool:
    """Whether a missing label satisfies it."""
    same = re.fullmatch(matcher.value, "") is not None if matcher.is_regex else not matcher.value
    return same == matcher.is_equal


def schema(kind: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a body that the route reads by itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(kind)}}}}


def _inlined(kind: type[BaseModel]) -> Any:
    whole = kind.model_json_schema(by_alias=True, mode="validation")
    definitions = whole.pop("$defs", {})

    def expand(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return expand(definitions[node["$ref"].rsplit("/", 1)[-1]])
            return {key: expand(value) for key, value in node.items()}
        return [expand(item) for item in node] if isinstance(node, list) else node

    return expand(whole)

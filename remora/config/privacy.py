"""`models.NAME.privacy` — what of a prediction is kept, in which form, and what never leaves the collector."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from remora.config.base import Section

__all__ = ["Looks", "Privacy"]

Looks = Literal["email", "card", "iban", "phone", "token"]
Pattern = Annotated[str, Field(min_length=1, max_length=128)]


class Privacy(Section):
    """Names are those of features, `*` stands for any characters; tags are named `tags.NAME`."""

    allow: list[Pattern] | None = Field(
        default=None, description="only these features are kept; without it, all"
    )
    deny: list[Pattern] = Field(default=[], description="these features are left out")
    hash: list[Pattern] = Field(default=[], description="of these a keyed hash is kept instead of the value")
    truncate: dict[Pattern, Annotated[int, Field(ge=1, le=4096)]] = Field(
        default={}, description="of these texts so many characters are kept"
    )
    mask: list[Looks] = Field(default=[], description="what is blotted out inside every text")
    profiles_only: bool = Field(default=False, description="no row leaves the collector, only summaries")

    @model_validator(mode="after")
    def _once(self) -> Self:
        doubled = (set(self.deny) & {*self.hash, *self.truncate}) | (set(self.hash) & set(self.truncate))
        if doubled:
            msg = f"{', '.join(sorted(doubled))} stands under two of deny, hash and truncate: choose one"
            raise ValueError(msg)
        return self

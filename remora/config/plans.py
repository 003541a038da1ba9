"""`plans:` — what is done about an incident, step by step, and what must hold before a step may start something."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from remora.config.base import Duration, Name, Section
from remora.config.targets import Target

__all__ = ["Actions", "Guard", "Incidents", "Plan", "Repeat", "Step"]


class Guard(Section):
    """What must hold before an action may run."""

    cooldown: Duration = timedelta(hours=24)
    max_runs: int = Field(default=3, ge=1)
    per: Duration = timedelta(days=7)
    concurrency: Literal["forbid", "allow"] = "forbid"
    require_label_coverage: float = Field(default=0.0, ge=0, le=1)
    drift_alone: bool = Field(
        default=False, description="true: drift is reason enough, without any word on performance"
    )
    approval: Literal["none", "manual"] = "none"
    approval_timeout: Duration = Field(default=timedelta(hours=24), gt=timedelta(0))


class Step(Section):
    """One step of a plan: exactly one of notify, action, wait, checklist."""

    notify: Name | None = None
    action: Name | None = Field(
        default=None, description="the target, or the webhook, that starts the model update"
    )
    wait: Duration | None = None
    checklist: list[str] | None = None
    unless: Literal["acknowledged"] | None = None
    guard: Guard = Guard()
    timeout: Duration = Field(default=timedelta(hours=6), gt=timedelta(0))
    training_window: Duration = Field(
        default=timedelta(weeks=8), gt=timedelta(0), description="how much data before the alarm to train on"
    )
    on_failure: Literal["continue", "stop"] = "continue"

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [
            name for name in ("notify", "action", "wait", "checklist") if getattr(self, name) is not None
        ]
        if len(kinds) != 1:
            msg = f"a step is exactly one of notify, action, wait and checklist (found {', '.join(kinds) or 'none'})"
            raise ValueError(msg)
        return self

    @property
    def kind(self) -> str:
        return next(
            name for name in ("notify", "action", "wait", "checklist") if getattr(self, name) is not None
        )


class Repeat(Section):
    """Go through the steps again while nobody acknowledged."""

    every: Duration
    times: Annotated[int, Field(ge=1, le=20)]


class Plan(Section):
    """What is done about an incident, step by step, each step once."""

    name: Name
    open_on: dict[str, list[str]] = Field(
        default={}, description="label values that open an incident by themselves"
    )
    group_by: list[str] = ["model"]
    runbook_url: str | None = None
    steps: list[Step] = Field(min_length=1)
    repeat: Repeat | None = None
    stable_for: Duration = Field(
        default=timedelta(minutes=30), description="resolved once all alerts are so long"
    )
    reopen_within: Duration = timedelta(hours=2)
    ack_timeout: Duration = timedelta(hours=8)


class Actions(Section):
    """What Remora may start, and the switch over all of it."""

    enabled: bool = True
    paused_models: list[str] = []
    dry_run: bool = Field(default=False, description="decide and write down, but start nothing")
    targets: dict[Name, Target] = {}


class Incidents(Section):
    """What holds for the incidents of every plan."""

    max_open: int = Field(default=50, ge=1, le=1000)
    links_expire: Duration = Field(
        default=timedelta(hours=24), gt=timedelta(0), description="how long signed links in messages work"
    )

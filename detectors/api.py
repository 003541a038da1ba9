"""`GET` and `PUT /v1/clock`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from detectors.clock import ClockState, clock_state, move_clock
from detectors.errors import ClockError
from remora.config import Config
from remora.database import Database
from remora.refusals import EVERYWHERE, refusals

if TYPE_CHECKING:
    from remora.security import Guard

__all__ = ["Clock", "ClockMove", "router"]


class Clock(BaseModel):
    """Where the business clock stands."""

    mode: Literal["system", "replay"]
    now: datetime | None = Field(description="null while a replayed clock has not been set")
    settled: datetime | None = Field(description="everything that was due at this instant has been done")


class ClockMove(BaseModel):
    """Where a replayed clock shall stand; never earlier than it does."""

    model_config = ConfigDict(extra="forbid")

    now: Annotated[AwareDatetime, Field(examples=["2013-03-01T10:00:00Z"])]


def router(database: Database, config: Config, guard: Guard, on_change: Callable[[], None]) -> APIRouter:
    """The clock's routes; `on_change` is called when it was moved."""
    routes = APIRouter(responses=refusals(*EVERYWHERE))
    read: Any = Depends(guard.require("read"))
    write: Any = Depends(guard.require("write"))

    @routes.get("/v1/clock", dependencies=[read])
    def get_clock() -> Clock:
        return _shown(clock_state(database, config, datetime.now(UTC)))

    @routes.put("/v1/clock", dependencies=[write], responses=refusals(409, 422))
    def put_clock(move: ClockMove) -> Clock:
        try:
            moved = move_clock(database, config, move.now)
        except ClockError as error:
            raise HTTPException(409, str(error)) from None
        on_change()
        return _shown(moved)

    return routes


def _shown(state: ClockState) -> Clock:
    return Clock.model_validate(vars(state))

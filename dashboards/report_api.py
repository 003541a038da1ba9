"""Asking for an Evidently report, and waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from dashboards import report_requests, schemas
from dashboards.access import Guard
from dashboards.errors import BadRequestError, BusyError, NotFoundError
from dashboards.periods import parse_instant
from dashboards.queries import response
from remora.database import Database
from remora.refusals import EVERYWHERE, refusals

__all__ = ["NewReport", "router"]

_RETRY = {"Retry-After": "30"}


class NewReport(BaseModel):
    """Which window: [start, end), dates or RFC 3339 instants; one without a zone is UTC."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=200)
    start: str = Field(max_length=40, examples=["2013-09-21"])
    end: str = Field(max_length=40, examples=["2013-09-22T00:00:00Z"])
    again: bool = Field(
        default=False, description="make it anew where there is one, for labels that came since"
    )


def _wall() -> datetime:
    return datetime.now(UTC)


def router(database: Database, guard: Guard, wall: Callable[[], datetime] = _wall) -> APIRouter:
    """The two routes; `database` is written."""
    routes = APIRouter(prefix="/v1/reports", responses=refusals(*EVERYWHERE, 404, 422))

    @routes.post(
        "", status_code=202, response_model=schemas.Report,
        dependencies=[Depends(guard.require("write"))],
    )  # fmt: skip
    def request_report(wanted: NewReport) -> schemas.Report:
        """Want the report of a model and a window; the answer says whether it waits, is being made or is there."""
        try:
            window = (parse_instant(wanted.start, "start"), parse_instant(wanted.end, "end"))
            with database.write() as connection:
                row = report_requests.request(connection, wanted.model, window, wall(), again=wanted.again)
        except NotFoundError as error:
            raise HTTPException(404, str(error)) from None
        except BadRequestError as error:
            raise HTTPException(400, str(error)) from None
        except BusyError as error:
            raise HTTPException(429, str(error), _RETRY) from None
        return schemas.Report.model_validate(row)

    @routes.get(
        "/{report_id}", response_model=schemas.Report,
        dependencies=[Depends(guard.require("read"))],
    )  # fmt: skip
    def show_report(report_id: str) -> schemas.Report:
        """How far a report is; the report itself is at /reports/{id}/document."""
        with database.read() as connection:
            row = response.report(connection, report_id)
        if row is None:
            raise HTTPException(404, "there is no such report")
        return schemas.Report.model_validate(row)

    return routes

"""The HTTP application of the recorder: ingest API, health, metrics; reached at `/remora/…` through the proxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from fastapi import Depends, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from collector import metrics
from collector.api import router
from collector.ingest import Ingest
from remora import __version__
from remora.refusals import EVERYWHERE, install_error_answers, refusals
from remora.security import Guard
from remora.telemetry import REGISTRY

__all__ = ["ForwarderCounters", "sidecar_app"]

_PREFIX = "/remora"
_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, Any, Any], Awaitable[None]]


class ForwarderCounters(Collector):
    """The forwarder's counters, as they stand in the ring's header."""

    def __init__(self, read: Callable[[], dict[str, int]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        for name, value in self._read().items():
            family = CounterMetricFamily(f"remora_proxy_{name}", f"The forwarder's count of {name}.")
            family.add_metric([], value)
            yield family


def sidecar_app(ingest: Ingest, guard: Guard) -> _App:
    """Everything that the recorder answers, at the root and below `/remora`."""
    app = FastAPI(title="Remora sidecar", version=__version__, docs_url=None, redoc_url=None)
    install_error_answers(app, metrics.FAULTS.labels("request").inc)
    app.include_router(router(ingest, guard), tags=["ingest"])

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses=refusals(503))
    async def readyz() -> Response:
        """Records are taken: the spool has room. A database that is away does not matter here."""
        counts = ingest.spool.counters()
        if counts["bytes"] >= ingest.spool.limit:
            return JSONResponse({"error": "the spool is full"}, 503)
        return JSONResponse({"status": "ready"})

    @app.get(
        "/metrics", tags=["health"], dependencies=[Depends(guard.require("read"))], response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}, **refusals(*EVERYWHERE)},
    )  # fmt: skip
    async def exposition() -> Response:
        """For Prometheus."""
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return _without_prefix(app)


def _without_prefix(app: FastAPI) -> _App:
    async def stripped(scope: _Scope, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and (path == _PREFIX or path.startswith(f"{_PREFIX}/")):
            scope = {**scope, "path": path[len(_PREFIX) :] or "/", "raw_path": None}
        await app(scope, receive, send)

    return stripped

"""`Client.watch`: a decorator that logs what a predict function was given and what it returned."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remora.client.sending import Client

__all__ = ["Watched", "ids", "watched"]

_ANSWERED, _FAILED = 200, 500
_ids: ContextVar[tuple[str, ...]] = ContextVar("remora_prediction_ids", default=())


def ids() -> tuple[str, ...]:
    """The ids of the rows that a watched function was asked for last, in this thread or task."""
    return _ids.get()


@dataclass(frozen=True)
class Watched:
    """How calls are read; see `Client.watch`."""

    client: Client
    features: Callable[..., Any] | None
    prediction: Callable[[Any], Any] | None
    scores: Callable[[Any], Any] | None
    tags: dict[str, str]


class _Call:
    """One call: its rows are read before the function may change them, its result when it is there."""

    def __init__(self, how: Watched, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._how = how
        self._rows: list[Any] = [{}]
        self._quietly(self._read, function, args, kwargs)
        self._began = time.perf_counter()

    def _read(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if self._how.features is not None:
            self._rows = _rows(self._how.features(*args, **kwargs))
            return
        bound = inspect.signature(function).bind(*args, **kwargs)
        arguments = {name: value for name, value in bound.arguments.items() if name not in {"self", "cls"}}
        values = list(arguments.values())
        tabular = len(values) == 1 and _is_tabular(values[0])
        self._rows = _rows(values[0]) if tabular else [arguments]

    def ended(self, result: Any, status: int) -> None:
        """Log one record per row. Whatever is odd about them, the model goes on."""
        self._quietly(self._log, result, status, (time.perf_counter() - self._began) * 1000)

    def _log(self, result: Any, status: int, latency_ms: float) -> None:
        how, count = self._how, len(self._rows)
        answered = status == _ANSWERED
        predictions = _per_row(how.prediction(result) if how.prediction and answered else result, count)
        scores = _per_row(how.scores(result) if how.scores and answered else None, count)
        _ids.set(
            tuple(
                how.client.log(
                    features=_named(row),
                    prediction=predictions[index],
                    scores=scores[index],
                    latency_ms=latency_ms,
                    status=status,
                    tags=how.tags,
                )
                for index, row in enumerate(self._rows)
            )
        )

    def _quietly(self, step: Callable[..., None], *args: Any) -> None:
        """A user's own `features` may fail, a data frame may be strange: counted, and never the model's trouble."""
        try:
            step(*args)
        except Exception:  # noqa: BLE001  (the promise of the client: nothing reaches the model)
            self._how.client.drops["not_read"] += 1


def watched(how: Watched, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, watched. What it returns or raises reaches its caller unchanged."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*args: Any, **kwargs: Any) -> Any:
            call = _Call(how, function, args, kwargs)
            try:
                result = await function(*args, **kwargs)
            except BaseException:
                call.ended(None, _FAILED)
                raise
            call.ended(result, _ANSWERED)
            return result

        return waiting

    @functools.wraps(function)
    def direct(*args: Any, **kwargs: Any) -> Any:
        call = _Call(how, function, args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException:
            call.ended(None, _FAILED)
            raise
        call.ended(result, _ANSWERED)
        return result

    return direct


def _is_tabular(value: Any) -> bool:
    return isinstance(value, Mapping | list) or hasattr(value, "to_dict") or hasattr(value, "tolist")


def _rows(value: Any) -> list[Any]:
    """A mapping is one row; a data frame, an array or a list of mappings or lists many; a list of values one."""
    if isinstance(value, Mapping):
        return [value]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return list(value.to_dict("records"))
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list) and value and all(isinstance(row, Mapping | list | tuple) for row in value):
        return value
    return [value]


def _named(row: Any) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return {str(name): value for name, value in row.items()}
    if isinstance(row, list | tuple):
        return {f"f{index}": value for index, value in enumerate(row)}
    return {"value": row}


def _per_row(value: Any, count: int) -> list[Any]:
    """One value per row; what does not come in the rows' number belongs to the only row, or to none."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple) and len(value) == count:
        return list(value)
    return [value] if count == 1 else [None] * count

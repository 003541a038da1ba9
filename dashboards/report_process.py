"""The process that makes Evidently reports, apart from the server: `python -m dashboards.report_process`.

One line of JSON comes in per report, one goes out: `{"ok": true}` or `{"ok": false, "error": "…"}`. It limits its own
memory, talks to nobody (Evidently's telemetry is off, and a socket that is opened all the same is refused), and may
die at any time: whoever started it says so in the report's row and starts another.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["QUIET", "main"]

QUIET = {"DO_NOT_TRACK": "1", "ITERATIVE_DO_NOT_TRACK": "1", "MPLBACKEND": "Agg"}
_SCORE, _PREDICTION, _LABEL = "score", "prediction", "label"
_FEWEST_LABELLED = 30  # below that a performance section says nothing


def main() -> None:
    """Answer jobs until the input ends. argv: the most memory in bytes."""
    os.environ.update(QUIET)
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    _refuse_network()
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _refuse_network() -> None:
    def refused(*_: Any) -> None:
        msg = "a report must not open a connection"
        raise OSError(msg)

    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, refused)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """Errors of one report are its answer; the next report gets its own try."""
    try:
        make(job)
    except MemoryError:
        return {"ok": False, "error": "the report needs more memory than it may have"}
    except Exception as error:  # noqa: BLE001 - the edge of a job: told to the server, which logs and counts it
        return {"ok": False, "error": f"Evidently failed: {type(error).__name__}"}
    return {"ok": True}


def make(job: dict[str, Any]) -> None:
    """Write the report of `job["reference"]` against `job["current"]` (lists of rows) to `job["path"]`, or nothing."""
    import pandas as pd  # noqa: PLC0415 - only this process pays for it
    from evidently import Dataset, Report  # noqa: PLC0415

    frames = [pd.DataFrame.from_records(job[name]) for name in ("reference", "current")]
    columns = sorted(set(frames[0].columns) & set(frames[1].columns))
    for frame in frames:
        if frame.empty or not columns:
            msg = "no rows in common"
            raise ValueError(msg)
    frames = [frame[columns] for frame in frames]
    kinds = _kinds(frames, job["kind"])
    frames = [_clean(frame, kinds) for frame in frames]
    definition, presets = _plan(frames, kinds, job["kind"], str(job.get("positive", "true")))
    data = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
    with _calm():
        snapshot = Report(presets).run(data[1], data[0])
        path = Path(job["path"])
        unfinished = path.with_suffix(".part")
        snapshot.save_html(str(unfinished))
    unfinished.replace(path)


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _kinds(frames: list[Any], kind: str) -> dict[str, str]:
    """Numeric or categorical for each column that has values on both sides; classes are categories."""
    import pandas as pd  # noqa: PLC0415

    found = {}
    for name in frames[0].columns:
        both = [frame[name].dropna() for frame in frames]
        if any(series.empty for series in both):
            continue
        numeric = all(
            pd.api.types.is_numeric_dtype(series.infer_objects())
            and not pd.api.types.is_bool_dtype(series.infer_objects())
            for series in both
        )
        if name in {_PREDICTION, _LABEL} and kind != "regression":
            numeric = False
        found[str(name)] = "numeric" if numeric else "categorical"
    return found


def _clean(frame: Any, kinds: dict[str, str]) -> Any:
    made = frame[list(kinds)].copy()
    for name, kind in kinds.items():
        if kind == "categorical":
            made[name] = made[name].map(_category)
        else:
            made[name] = made[name].astype(float)
    return made


def _category(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    if isinstance(value, bool) or str(value) in {"True", "False"}:
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _plan(frames: list[Any], kinds: dict[str, str], kind: str, positive: str) -> tuple[Any, list[Any]]:
    """Evidently's data definition and presets: performance only where both sides have labels."""
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification, Regression  # noqa: PLC0415
    from evidently.presets import ClassificationPreset, DataDriftPreset, RegressionPreset  # noqa: PLC0415

    numeric = [name for name, of in kinds.items() if of == "numeric"]
    categorical = [name for name, of in kinds.items() if of == "categorical"]
    options: dict[str, Any] = {"numerical_columns": numeric, "categorical_columns": categorical}
    drift = DataDriftPreset(columns=[name for name in kinds if name != _LABEL])
    labelled = {_LABEL, _PREDICTION} <= set(kinds)
    if labelled:
        whole = [frame.dropna(subset=[_LABEL, _PREDICTION]) for frame in frames]
        labelled = all(len(frame) >= _FEWEST_LABELLED for frame in whole)
    if not labelled:
        return DataDefinition(**options), [drift]
    for index, frame in enumerate(whole):
        frames[index] = frame
    if kind == "regression":
        options["regression"] = [Regression(target=_LABEL, prediction=_PREDICTION)]
        return DataDefinition(**options), [drift, RegressionPreset()]
    classes = set(frames[0][_LABEL]) | set(frames[1][_LABEL])
    if classes <= {"0", "1"}:
        positive = "1" if positive == "true" else positive
    if kind == "binary" and len(classes) <= 2 and positive in classes:
        made: Any = BinaryClassification(target=_LABEL, prediction_labels=_PREDICTION, pos_label=positive,
                                         prediction_probas=_SCORE if kinds.get(_SCORE) == "numeric" else None)  # fmt: skip
    else:
        made = MulticlassClassification(target=_LABEL, prediction_labels=_PREDICTION)
    options["classification"] = [made]
    return DataDefinition(**options), [drift, ClassificationPreset()]


if __name__ == "__main__":
    main()

"""What stands in an Evidently report: drift and a summary of the data, performance where there are labels, text, rankings.

pandas and Evidently are imported where they are used: only the process that makes reports pays for them.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["TOP", "make"]

TOP = 10  # places of a ranked list that count
_SCORE, _PREDICTION, _LABEL = "score", "prediction", "label"
_USER, _ITEM, _RELEVANCE, _WORTH = "$request", "$item", "$relevance", "$worth"
_FEWEST_LABELLED = 30  # below that a performance section says nothing
_TEXT_WORDS, _TEXT_SHARE = 3, 0.5  # texts: most values are new, and so many words long at the median


def make(job: dict[str, Any]) -> None:
    """Write the report of `job["reference"]` against `job["current"]` (lists of rows) to `job["path"]`, or nothing."""
    from evidently import Dataset, Report  # noqa: PLC0415

    frames = _frames([job["reference"], job["current"]], ranking=job["kind"] == "ranking")
    kinds = _kinds(frames, job["kind"])
    frames = [_clean(frame, kinds) for frame in frames]
    definition, presets, descriptors = _plan(frames, kinds, job["kind"], str(job.get("positive", "true")))
    with _calm():
        data = [
            Dataset.from_pandas(frame, data_definition=definition, descriptors=descriptors)
            for frame in frames
        ]
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


def _frames(sides: list[list[dict[str, Any]]], *, ranking: bool) -> list[Any]:
    """Both sides with the columns that both have; of rankings a row per item. Raises ValueError where nothing is common."""
    import pandas as pd  # noqa: PLC0415

    if ranking:
        sides = [[one for number, row in enumerate(rows) for one in _by_item(number, row)] for rows in sides]
    frames = [pd.DataFrame.from_records(rows) for rows in sides]
    columns = sorted(set(frames[0].columns) & set(frames[1].columns))
    if not columns or any(frame.empty for frame in frames):
        msg = "no rows in common"
        raise ValueError(msg)
    return [frame[columns] for frame in frames]


def _by_item(number: int, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The first items of a request's ranked list: 1 / place, by which Evidently ranks, and relevance of each; nothing of what is no list."""
    ranked, relevant = row.get(_PREDICTION), row.get(_LABEL)
    if not isinstance(ranked, list):
        return []
    features = {name: value for name, value in row.items() if name not in {_PREDICTION, _SCORE, _LABEL}}
    found = relevant if isinstance(relevant, dict) else {str(one): 1 for one in _listed(relevant)}
    known = {str(item): float(worth) for item, worth in found.items()}
    return [
        features | {_USER: number, _ITEM: str(item), _WORTH: 1 / place,
                    _RELEVANCE: None if relevant is None else known.get(str(item), 0.0)}
        for place, item in enumerate(ranked[:TOP], 1)
    ]  # fmt: skip


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _kinds(frames: list[Any], kind: str) -> dict[str, str]:
    """numeric, categorical or text for each column that has values on both sides; classes are categories."""
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
        if name == _ITEM or (name in {_PREDICTION, _LABEL} and kind != "regression"):
            numeric = False
        text = not numeric and name not in {_PREDICTION, _LABEL, _ITEM} and all(map(_is_text, both))
        found[str(name)] = "numeric" if numeric else "text" if text else "categorical"
    return found


def _is_text(values: Any) -> bool:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values) or len(set(texts)) < _TEXT_SHARE * len(texts):
        return False
    return sorted(len(text.split()) for text in texts)[len(texts) // 2] >= _TEXT_WORDS


def _clean(frame: Any, kinds: dict[str, str]) -> Any:
    made = frame[list(kinds)].copy()
    for name, kind in kinds.items():
        if kind == "categorical":
            made[name] = made[name].map(_category)
        elif kind == "numeric":
            made[name] = made[name].astype(float)
    return made


def _category(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    if isinstance(value, bool) or str(value) in {"True", "False"}:
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _plan(
    frames: list[Any], kinds: dict[str, str], kind: str, positive: str
) -> tuple[Any, list[Any], list[Any]]:
    """Evidently's data definition, presets and descriptors; `frames` lose rows that a performance section cannot take."""
    from evidently import DataDefinition  # noqa: PLC0415
    from evidently.presets import DataDriftPreset, DataSummaryPreset, TextEvals  # noqa: PLC0415

    shown = [
        name for name, of in kinds.items() if of != "text" and name not in {_LABEL, _USER, _WORTH, _RELEVANCE}
    ]
    texts = [name for name, of in kinds.items() if of == "text"]
    options: dict[str, Any] = {
        "numerical_columns": [name for name, of in kinds.items() if of == "numeric" and name != _USER],
        "categorical_columns": [name for name, of in kinds.items() if of == "categorical"],
        "text_columns": texts,
    }
    presets: list[Any] = [DataDriftPreset(columns=shown), DataSummaryPreset(columns=[*shown, *texts])]
    if texts:
        presets.append(TextEvals())
    performance = (
        _ranking(frames, kinds) if kind == "ranking" else _performance(frames, kinds, kind, positive)
    )
    if performance is not None:
        name, task, preset = performance
        options[name] = [task]
        presets.append(preset)
    return DataDefinition(**options), presets, _descriptors(texts)


def _descriptors(texts: list[str]) -> list[Any]:
    """What is measured of a text without a model to download."""
    from evidently.descriptors import (  # noqa: PLC0415
        NonLetterCharacterPercentage,
        SentenceCount,
        TextLength,
        WordCount,
    )  # fmt: skip

    return [
        of(name, alias=f"{name}: {what}")
        for name in texts
        for of, what in ((TextLength, "characters"), (WordCount, "words"), (SentenceCount, "sentences"),
                         (NonLetterCharacterPercentage, "% not letters"))
    ]  # fmt: skip


def _labelled(frames: list[Any], columns: list[str]) -> bool:
    """Keep rows that have these columns, where enough have them on both sides."""
    whole = [frame.dropna(subset=columns).copy() for frame in frames]
    if any(len(frame) < _FEWEST_LABELLED for frame in whole):
        return False
    frames[:] = whole
    return True


def _ranking(frames: list[Any], kinds: dict[str, str]) -> tuple[str, Any, Any] | None:
    from evidently import Recsys  # noqa: PLC0415
    from evidently.presets import RecsysPreset  # noqa: PLC0415

    if _RELEVANCE not in kinds or not _labelled(frames, [_RELEVANCE]):
        return None
    task = Recsys(user_id=_USER, item_id=_ITEM, target=_RELEVANCE, prediction=_WORTH)
    return "ranking", task, RecsysPreset(k=TOP)


def _performance(
    frames: list[Any], kinds: dict[str, str], kind: str, positive: str
) -> tuple[str, Any, Any] | None:
    """Only where both sides have labels."""
    from evidently import BinaryClassification, MulticlassClassification, Regression  # noqa: PLC0415
    from evidently.presets import ClassificationPreset, RegressionPreset  # noqa: PLC0415

    if not {_LABEL, _PREDICTION} <= set(kinds) or not _labelled(frames, [_LABEL, _PREDICTION]):
        return None
    if kind == "regression":
        return "regression", Regression(target=_LABEL, prediction=_PREDICTION), RegressionPreset()
    classes = set(frames[0][_LABEL]) | set(frames[1][_LABEL])
    if classes <= {"0", "1"}:
        positive = "1" if positive == "true" else positive
    if kind == "binary" and len(classes) <= 2 and positive in classes:
        made: Any = BinaryClassification(target=_LABEL, prediction_labels=_PREDICTION, pos_label=positive,
                                         prediction_probas=_SCORE if kinds.get(_SCORE) == "numeric" else None)  # fmt: skip
    else:
        made = MulticlassClassification(target=_LABEL, prediction_labels=_PREDICTION)
    return "classification", made, ClassificationPreset()

"""From the text of a request to records: each item is judged alone and refused in one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from collector.bodies import Limits
from collector.errors import BodyError
from collector.plain_lines import parse_plain_lines, prediction_of
from collector.spool import encode_record
from remora.records import Item, Label, Prediction, check_label, check_prediction

__all__ = ["LabelIn", "Parsed", "PredictionIn", "parse_items", "parse_labels", "parse_predictions"]

_T = TypeVar("_T")
_TRIVIAL = b" \t\r\n"
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MOST_OF_A_KEY = 60


class PredictionIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prediction as a caller writes it: what is optional may be missing."""

    model: str
    features: dict[str, Any]
    version: str | int = ""
    id: str | int | None = None
    timestamp: datetime | None = None
    prediction: str | int | float | bool | list[Item] | None = None
    scores: float | dict[str, float] | None = None
    latency_ms: float | None = None
    status: int = 200
    tags: dict[str, str] | None = None


class LabelIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label as a caller writes it."""

    model: str
    id: str | int
    label: str | int | float | bool | list[Item] | dict[str, float]
    timestamp: datetime | None = None


@dataclass
class Parsed:
    """What was good, and what was not, by place in the request."""

    records: list[Any] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, error: str) -> None:
        self.rejected.append({"index": index, "error": error})


def _label(item: LabelIn, now: datetime) -> Label:
    timestamp = now if item.timestamp is None else item.timestamp
    return Label(model=item.model, id=str(item.id), label=item.label, timestamp=timestamp)


_decode_prediction = msgspec.json.Decoder(PredictionIn).decode
_decode_label = msgspec.json.Decoder(LabelIn).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse_predictions(body: bytes, *, lines: bool, now: datetime, limits: Limits) -> Parsed:
    """One prediction, an array of them, or one per line. Raises BodyError when nothing can be read."""
    quick = parse_plain_lines(body, now, limits) if lines else None
    if quick is not None:
        return Parsed(quick)

    def settle(item: bytes | msgspec.Raw) -> list[Prediction] | str:
        record = prediction_of(_lenient(item, _decode_prediction, PredictionIn), now)
        return check_prediction(record) or [record]

    return parse_items(body, settle, lines=lines, limits=limits)


def parse_labels(
    body: bytes, *, lines: bool, now: datetime, limits: Limits, also: Callable[[Label], str | None]
) -> Parsed:
    """One label, an array of them, or one per line; `also` may refuse one. Raises BodyError when nothing can be read."""

    def settle(item: bytes | msgspec.Raw) -> list[Label] | str:
        record = _label(_lenient(item, _decode_label, LabelIn), now)
        return check_label(record) or also(record) or [record]

    return parse_items(body, settle, lines=lines, limits=limits)


def parse_items(
    body: bytes,
    settle: Callable[[bytes | msgspec.Raw], Sequence[Prediction] | Sequence[Label] | str],
    *,
    lines: bool,
    limits: Limits,
) -> Parsed:
    """The items of a body, each judged alone: `settle` gives its records, or says what is wrong. Raises BodyError."""
    parsed = Parsed()
    for index, item in enumerate(_items(body, lines=lines, limits=limits)):
        if index >= limits.records:
            raise BodyError(413, f"more than {limits.records} records in one request: send them in parts")
        try:
            found = settle(item)
            if isinstance(found, str):
                parsed.reject(index, found)
                continue
            for record in found:
                encode_record(record)  # what cannot be kept is this record's mistake alone
            parsed.records += found
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            parsed.reject(index, _sentence(error))
        except (RecursionError, ValueError) as error:
            parsed.reject(index, "is nested too deeply" if isinstance(error, RecursionError) else str(error))
    return parsed


def _items(body: bytes, *, lines: bool, limits: Limits) -> Iterator[bytes | msgspec.Raw]:
    """The items of a body, still as text."""
    body = body.removeprefix(b"\xef\xbb\xbf").strip(_TRIVIAL)
    if not body:
        raise BodyError(400, "the body is empty: send a JSON object, an array of them, or one per line")
    if lines:
        return (line for line in body.split(b"\n") if line.strip(_TRIVIAL))
    if body[:1] == b"{":
        return iter((body,))
    if body[:1] != b"[":
        raise BodyError(400, "the body is neither a JSON object nor an array of them")
    try:
        return iter(_decode_items(body))
    except RecursionError:
        raise BodyError(400, "the body is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return iter(_tolerated(body, limits))


def _tolerated(body: bytes, limits: Limits) -> list[bytes]:
    """The items of an array with NaN or Infinity in it, each rewritten with null in its place."""
    found = _loads(body)
    if not isinstance(found, list):
        raise BodyError(400, "the body is not an array of JSON objects")
    if len(found) > limits.records:
        raise BodyError(413, f"more than {limits.records} records in one request: send them in parts")
    return [json.dumps(item).encode() for item in found]


def _loads(body: bytes) -> Any:
    """Python's own JSON reader, which knows NaN. Raises BodyError."""
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except UnicodeDecodeError:
        raise BodyError(400, "the body is not UTF-8 text") from None
    except RecursionError:
        raise BodyError(400, "the body is nested too deeply") from None
    except ValueError as error:
        place = (
            f" at line {error.lineno}, column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise BodyError(400, f"the body is not JSON{place}") from None


def _lenient(item: bytes | msgspec.Raw, decode: Callable[[Any], _T], kind: type[_T]) -> _T:
    """Decode fast; only where that fails because of NaN or Infinity, decode slowly with null in their place."""
    try:
        return decode(item)
    except msgspec.ValidationError as error:
        raise _explained(error, kind) from None
    except msgspec.DecodeError:
        text = bytes(item)
        if b"NaN" not in text and b"Infinity" not in text:
            raise
        try:
            return msgspec.convert(_loads(text), kind, strict=True)
        except msgspec.ValidationError as error:
            raise _explained(error, kind) from None
        except BodyError as error:
            raise ValueError(str(error)) from None


def _explained(error: msgspec.ValidationError, kind: type[Any]) -> Exception:
    """The same error; of an unknown key one that names the nearest, for a misspelt one would be lost without a word."""
    unknown = _UNKNOWN.fullmatch(str(error))
    if unknown is None:
        return error
    keys = [one.name for one in msgspec.structs.fields(kind)]
    near = get_close_matches(unknown[1], keys, n=1)
    meant = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(keys)}"
    return ValueError(f"has an unknown key `{unknown[1][:_MOST_OF_A_KEY]}`: {meant}")


def _sentence(error: Exception) -> str:
    """What msgspec says, made one sentence; they name types and places, never values."""
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8 text"
    text = str(error).replace(" - at `$.", ": `").replace(" - at `$`", "")
    return f"is not JSON: {text}" if type(error) is msgspec.DecodeError else text

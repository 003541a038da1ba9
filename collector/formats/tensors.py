"""Tensors of the Open Inference Protocol, as JSON and in its binary extension, and rows out of them.

Source: the protocol's REST document and its binary tensor data extension.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector.errors import UnreadableError

__all__ = ["Tensor", "read_tensors"]

_TYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_MOST = 1 << 22  # values of one tensor


@dataclass(frozen=True)
class Tensor:
    """`values` are flat, row-major, `math.prod(shape)` of them."""

    name: str
    shape: list[int]
    values: list[Any]

    @property
    def rows(self) -> int:
        """The first dimension; a tensor without dimensions is one row."""
        return self.shape[0] if self.shape else 1

    def row(self, index: int) -> Any:
        """The values of one row: a list, or the value itself where there is one."""
        width = len(self.values) // self.rows
        found = self.values[index * width : (index + 1) * width]
        return found[0] if width == 1 else found


def read_tensors(found: Any, binary: bytes, reason: str) -> list[Tensor]:
    """The tensors of `inputs` or `outputs`; `binary` is what follows the JSON. Raises UnreadableError."""
    if not isinstance(found, list) or not found:
        raise UnreadableError(reason)
    tensors, offset = [], 0
    for item in found:
        size = _binary_size(item, reason)
        tensors.append(_tensor(item, binary[offset : offset + size] if size is not None else None, reason))
        offset += size or 0
    if offset > len(binary):
        raise UnreadableError(reason)
    return tensors


def _binary_size(item: Any, reason: str) -> int | None:
    parameters = item.get("parameters") if isinstance(item, dict) else None
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise UnreadableError(reason)
    return size


def _tensor(item: Any, raw: bytes | None, reason: str) -> Tensor:
    if not isinstance(item, dict):
        raise UnreadableError(reason)
    name, shape, kind = item.get("name"), item.get("shape"), item.get("datatype")
    if not isinstance(name, str) or not isinstance(shape, list) or not isinstance(kind, str):
        raise UnreadableError(reason)
    if not all(isinstance(size, int) and not isinstance(size, bool) and 0 < size <= _MOST for size in shape):
        raise UnreadableError(reason)
    count = math.prod(shape)
    if count > _MOST:
        raise UnreadableError(reason)
    values = _flat(item.get("data")) if raw is None else _unpack(raw, kind, count, reason)
    if len(values) != count:
        raise UnreadableError(reason)
    return Tensor(name, shape, values)


def _flat(data: Any) -> list[Any]:
    """Nested lists, or flat ones, in row-major order."""
    values = data if isinstance(data, list) else [] if data is None else [data]
    while values and isinstance(values[0], list):
        values = [inner for part in values for inner in (part if isinstance(part, list) else [part])]
    return values


def _unpack(raw: bytes, kind: str, count: int, reason: str) -> list[Any]:
    if kind == "BYTES":
        return _texts(raw, reason)
    code = _TYPES.get(kind)
    if code is None or len(raw) != count * np.dtype(code).itemsize:
        raise UnreadableError(reason)
    values: list[Any] = np.frombuffer(raw, dtype=code).tolist()
    return values


def _texts(raw: bytes, reason: str) -> list[str]:
    """Each value after its length in four bytes, little-endian."""
    texts, position = [], 0
    while position < len(raw):
        if position + 4 > len(raw):
            raise UnreadableError(reason)
        (size,) = struct.unpack_from("<I", raw, position)
        position += 4 + size
        if position > len(raw):
            raise UnreadableError(reason)
        texts.append(raw[position - size : position].decode("utf-8", "replace"))
    return texts

"""The wire formats that are understood, tried in this order. A new one is a file here and a line in `FORMATS`."""

from collector.formats.base import Format, Mapping, Message, Row
from collector.formats.plain_json import PlainJson

__all__ = ["FORMATS", "Format", "Mapping", "Message", "Row"]

FORMATS: tuple[Format, ...] = (PlainJson(),)

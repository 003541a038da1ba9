"""Ids for predictions whose request brought none: UUIDs of version 7, so they sort by time."""

import random
import re

__all__ = ["new_id", "usable_id"]

_bits = random.Random().getrandbits  # noqa: S311  (unique, not secret; seeded by the system)
_USABLE = re.compile(rb"[ -~]{1,128}")


def new_id(now: float) -> str:
    """`now` in seconds since the epoch. Layout: RFC 9562, section 5.7."""
    milliseconds = int(now * 1000)
    noise = _bits(74)
    return (
        f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7{noise >> 62:03x}"
        f"-{0x8000 | noise >> 48 & 0x3FFF:04x}-{noise & 0xFFFFFFFFFFFF:012x}"
    )


def usable_id(value: bytes | None) -> str | None:
    """A caller's id: 1 to 128 printable ASCII characters, else None."""
    if value is None or _USABLE.fullmatch(value) is None:
        return None
    return value.decode("ascii")

"""Numbers, times and states as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from remora.catalogue import METRICS, show
from remora.config.base import format_duration

__all__ = [
    "FILTERS", "VERDICTS", "bin_share", "day_or_minute", "duration", "link", "query", "reference_name", "short", "since", "sortable", "tight", "title_of", "when", "window",
]  # fmt: skip

VERDICTS = {
    "ok": "as usual",
    "alarm": "alarm",
    "not_enough_data": "too little data",
    "labels_not_mature": "waits for labels",
    "could_not_compute": "could not look",
}
_DAY = timedelta(days=1)


def when(instant: datetime | None) -> str:
    """`2013-09-03 14:05 UTC`, `-` where there is none."""
    return "-" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def day_or_minute(instant: datetime) -> str:
    """The date alone at midnight."""
    instant = instant.astimezone(UTC)
    return instant.strftime("%Y-%m-%d" if (instant.hour, instant.minute) == (0, 0) else "%Y-%m-%d %H:%M")


def window(start: datetime, end: datetime) -> str:
    """A window: its date where it is one UTC day, else from and to."""
    if end - start == _DAY and start.astimezone(UTC).hour == 0:
        return day_or_minute(start)
    same_day = start.astimezone(UTC).date() == end.astimezone(UTC).date()
    last = end.astimezone(UTC).strftime("%H:%M") if same_day else day_or_minute(end)
    return f"{start.astimezone(UTC):%Y-%m-%d %H:%M} to {last}"


def duration(length: timedelta) -> str:
    """A length of time in its two largest units: `3d 4h`."""
    seconds = max(0, int(length.total_seconds()))
    unit = 3600 if seconds >= 86_400 else 60 if seconds >= 3600 else 1
    text = format_duration(timedelta(seconds=seconds - seconds % unit))
    return text.replace("w", "w ").replace("d", "d ").replace("h", "h ").strip()


def since(instant: datetime | None, now: datetime) -> str:
    """`3d 4h ago`, or `-`."""
    return "-" if instant is None else f"{duration(now - instant)} ago"


def title_of(metric: str) -> str:
    """A metric's title, or its name where the catalogue has none."""
    return METRICS[metric].title if metric in METRICS else metric


def short(metric: str) -> str:
    """A metric's title where there is little room: `PSI`."""
    return "PSI" if metric == "psi" else title_of(metric)


def reference_name(metric: str) -> str:
    """What a finding's reference value is; of PSI it is what chance alone gives at this number of rows."""
    return "by chance" if metric == "psi" else "reference"


def tight(text: str) -> str:
    """Numbers keep their units and signs on the same line."""
    for loose in (" %", " ms", "< ", "> ", "= "):
        text = text.replace(loose, loose.replace(" ", "\u00a0"))
    return text


def bin_share(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def link(*parts: str, query: str = "") -> str:
    """A path of quoted parts with a query string behind it."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?{query}" if query else path


def sortable(value: object) -> str:
    """What a script sorts by: a number, an instant as text, or a text."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def query(wanted: Mapping[str, str]) -> str:
    """A query string; what is empty is left out."""
    return urlencode({name: value for name, value in wanted.items() if value})


FILTERS = {
    "when": when, "show": lambda value, metric: show(metric, value), "title_of": title_of, "share": bin_share,
    "duration": duration, "verdict": lambda name: VERDICTS.get(name, name), "day": day_or_minute, "tight": tight,
    "sortable": sortable, "query": query,
}  # fmt: skip

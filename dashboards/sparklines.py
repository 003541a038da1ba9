"""Small pictures of a series as SVG, drawn on the server: they need no script and no colours but the page's own."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

__all__ = ["sparkline", "strip"]

Value = float | None


def sparkline(
    values: Sequence[Value], label: str, *, limit: Value = None, alarms: Sequence[bool] = (), size: tuple[int, int] = (120, 28),
) -> Markup:  # fmt: skip
    """A line with gaps where there is no value, dots at alarms and a dashed line at `limit` if it lies in sight."""
    width, height = size
    present = [value for value in values if value is not None]
    if not present:
        return Markup('<span class="nothing">no windows yet</span>')
    kept = _thin(values, alarms, width)
    lowest, highest = _range(present, limit)
    points = _points(kept, lowest, highest, size)
    parts = [_line(points)]
    if limit is not None and lowest <= limit <= highest:
        y = _height(limit, lowest, highest, height)
        parts.insert(0, f'<line class="limit" x1="0" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [
        f'<circle class="alarm" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="1.8"/>'
        for point, (_, alarm) in zip(points, kept, strict=True)
        if alarm and point is not None
    ]
    last = next(point for point in reversed(points) if point is not None)
    parts.append(f'<circle class="last" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="2.2"/>')
    return Markup(  # noqa: S704 - numbers of our own and an escaped label
        f'<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMid" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _thin(values: Sequence[Value], alarms: Sequence[bool], most: int) -> list[tuple[Value, bool]]:
    """At most `most` points; of each group an alarm, or what is farthest from its middle, so that spikes stay."""
    marked = list(zip(values, [*alarms, *[False] * (len(values) - len(alarms))], strict=True))
    if len(marked) <= most:
        return marked
    kept: list[tuple[Value, bool]] = []
    step = len(marked) / most
    for group_number in range(most):
        group = marked[int(group_number * step) : int((group_number + 1) * step)]
        present = [value for value, _ in group if value is not None]
        if not present:
            kept.append((None, False))
            continue
        middle = sum(present) / len(present)
        bad = [value for value, alarm in group if alarm and value is not None]
        kept.append((max(bad or present, key=lambda value: (abs(value - middle), value)), bool(bad)))
    if marked[-1][0] is not None:
        kept[-1] = marked[-1]  # the dot at the end is the newest value
    return kept


def _range(present: Sequence[float], limit: Value) -> tuple[float, float]:
    lowest, highest = min(present), max(present)
    if limit is not None and lowest - (highest - lowest) <= limit <= highest + (highest - lowest):
        lowest, highest = min(lowest, limit), max(highest, limit)
    return (lowest, highest) if highest > lowest else (lowest - 1, highest + 1)


def _height(value: float, lowest: float, highest: float, height: int) -> float:
    return height - 3 - (value - lowest) / (highest - lowest) * (height - 6)


def _points(
    kept: Sequence[tuple[Value, bool]], lowest: float, highest: float, size: tuple[int, int],
) -> list[tuple[float, float] | None]:  # fmt: skip
    width, height = size
    step = (width - 6) / max(1, len(kept) - 1)
    return [
        None if value is None else (3 + index * step, _height(value, lowest, highest, height))
        for index, (value, _) in enumerate(kept)
    ]


def _line(points: Sequence[tuple[float, float] | None]) -> str:
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "L"
    return f'<path d="{"".join(path)}"/>'


def strip(levels: Sequence[tuple[int | None, str]], label: str) -> Markup:
    """A row of cells for a heat map: each a level from 0 to 5, or None for unknown, and a text for the pointer."""
    cells = "".join(
        f'<rect class="{"hx" if level is None else f"h{level}"}" x="{index}" width="1.02" height="1">'
        f"{f'<title>{escape(text)}</title>' if text else ''}</rect>"
        for index, (level, text) in enumerate(levels)
    )
    return Markup(  # noqa: S704 - numbers of our own and escaped texts
        f'<svg class="strip" viewBox="0 0 {max(1, len(levels))} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{cells}</svg>'
    )

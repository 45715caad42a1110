"""Curves as SVG that stands in an HTML page by itself; lines differ in dashes too, for printing."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from medqlora.domain.document import Curves

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 640, 240, 60, 26, 38, 12
_STROKES = (("#0f766e", "none"), ("#b45309", "6 4"), ("#4338ca", "2 3"))
_TICKS = 4

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values lie on the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)
        up = (y - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)


def curves_svg(curves: Curves) -> str:
    """The drawing as a figure; an empty string when no line has a point."""
    finite = [(x, y) for points in curves.lines.values() for x, y in points if math.isfinite(y)]
    if not finite:
        return ""
    frame = _Frame(*_range([x for x, _ in finite]), *_range([y for _, y in finite]))
    styled = list(zip(curves.lines.items(), _STROKES, strict=False))
    lines = "".join(
        _line(frame, stretch, *stroke)
        for (_, points), stroke in styled
        for stretch in _unbroken(points)
    )
    legend = "".join(
        f'<svg width="30" height="8" aria-hidden="true"><line x1="0" y1="4" x2="28" y2="4" '
        f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/></svg>'
        f"{html.escape(name)} "
        for (name, _), (colour, dashes) in styled
    )
    title = html.escape(curves.title)
    return (
        f"<figure><figcaption>{title}: {legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">'
        f"{_axes(frame, curves.x_label)}{lines}</svg></figure>"
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _unbroken(points: Points) -> list[list[tuple[float, float]]]:
    """Stretches without a gap."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if math.isfinite(point[1]):
            stretches[-1].append(point)
        else:
            stretches.append([])
    return [one for one in stretches if one]


def _line(frame: _Frame, stretch: Points, colour: str, dashes: str) -> str:
    placed = [frame.place(*point) for point in stretch]
    if len(placed) == 1:
        [(x, y)] = placed
        return f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
    path = " ".join(f"{x},{y}" for x, y in placed)
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8" '
        f'stroke-dasharray="{dashes}"/>'
    )


def _axes(frame: _Frame, x_label: str) -> str:
    parts = []
    for step in range(_TICKS + 1):
        share = step / _TICKS
        x = frame.x_low + share * (frame.x_high - frame.x_low)
        y = frame.y_low + share * (frame.y_high - frame.y_low)
        across, _ = frame.place(x, frame.y_low)
        _, up = frame.place(frame.x_low, y)
        parts.append(
            f'<line x1="{LEFT}" y1="{up}" x2="{WIDTH - RIGHT}" y2="{up}" stroke="#d5dbe1"/>'
            f'<text x="{LEFT - 6}" y="{up + 4}" text-anchor="end">{y:.4g}</text>'
            f'<text x="{across}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:.4g}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{html.escape(x_label)}</text>'
    )
    return "".join(parts)

"""A run's snapshot becomes Plotly figures, as plain JSON-able values.

`feed` makes what the browser draws: everything at first, then only what is newer than a viewer's
cursor. Drawing is for `assets/page.js`, what a snapshot holds for `domain.snapshot`. Plotly's
Python side is not needed and not imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medqlora.domain.snapshot import Point, RunSnapshot
from ui import wording

# Readable on the light and on the dark ground, and told apart by the colour-blind (Okabe and Ito).
BLUE, ORANGE, GREEN, PURPLE, RED = "#3b82c4", "#d9822b", "#1f9e89", "#a068c0", "#c8553d"

REDRAW_EVERY = 2_000
"""Events after which a viewer gets the whole, thinned picture again: an open page stays bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One line of a figure: where its points come from and how it is drawn."""

    name: str
    label: str
    colour: str
    mode: str = "lines"
    dash: str = "solid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One plot of the Monitor tab.

    Attributes:
        div_id: Its element on the page.
        title: What it shows.
        x_title: What runs along it.
        traces: Its lines.
        x_scale: What the points' x is multiplied with.
        starts_at_zero: Whether the vertical axis begins at 0.
    """

    div_id: str
    title: str
    traces: tuple[Trace, ...]
    x_title: str = "Step"
    x_scale: float = 1.0
    starts_at_zero: bool = False


FIGURES: tuple[Figure, ...] = (
    Figure(
        div_id="plot-loss",
        title="Loss: lower is better",
        traces=(
            Trace(name="loss", label="Training", colour=BLUE),
            Trace(name="eval_loss", label="Held-out entries", colour=ORANGE, mode="lines+markers"),
        ),
    ),
    Figure(
        div_id="plot-memory",
        title="Memory in use, GiB",
        x_title="Minutes since the start",
        x_scale=1 / 60,
        starts_at_zero=True,
        traces=(
            Trace(name="memory_used_gib", label="Used", colour=GREEN),
            Trace(name="memory_limit_gib", label="Limit", colour=RED, dash="dash"),
        ),
    ),
    Figure(
        div_id="plot-learning-rate",
        title="Learning rate",
        traces=(Trace(name="learning_rate", label="Learning rate", colour=PURPLE),),
    ),
    Figure(
        div_id="plot-grad-norm",
        title="Gradient norm",
        traces=(Trace(name="grad_norm", label="Gradient norm", colour=BLUE),),
    ),
    Figure(
        div_id="plot-speed",
        title="Tokens per second",
        starts_at_zero=True,
        traces=(Trace(name="tokens_per_second", label="Tokens per second", colour=GREEN),),
    ),
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How much of which run a viewer has seen."""

    run_id: str = ""
    seq: int = 0

    def to_state(self) -> dict[str, Any]:
        """As `gr.State` holds it."""
        return asdict(self)


def needs_everything(snapshot: RunSnapshot, cursor: Cursor) -> bool:
    """Whether what a viewer has drawn can no longer be continued by adding points."""
    return (
        cursor.run_id != snapshot.run_id
        or snapshot.attempt_seq > cursor.seq  # points after the resumed step were dropped
        or snapshot.seq // REDRAW_EVERY != cursor.seq // REDRAW_EVERY
        # A trace that was empty: its plot said so, and had no axes.
        or any(points and points[0].seq > cursor.seq for points in snapshot.traces.values())
    )


def feed(snapshot: RunSnapshot, cursor: Cursor) -> dict[str, Any]:
    """What a viewer who is at `cursor` has to draw; see `assets/page.js` for the form."""
    is_full = needs_everything(snapshot, cursor)
    after = -1 if is_full else cursor.seq
    figures = {
        figure.div_id: {
            "traces": [
                _trace(figure, one, snapshot, after, styled=is_full) for one in figure.traces
            ],
            "layout": _layout(figure, snapshot) if is_full else {},
        }
        for figure in FIGURES
    }
    return {
        "run": snapshot.run_id,
        "seq": snapshot.seq,
        "is_full": is_full,
        "figures": figures,
    }


def _trace(
    figure: Figure, trace: Trace, snapshot: RunSnapshot, after: int, *, styled: bool
) -> dict[str, Any]:
    points = [one for one in snapshot.traces.get(trace.name, ()) if one.seq > after]
    values = _values(points, figure.x_scale)
    return {**values, **_style(trace, figure)} if styled else values


def _values(points: Sequence[Point], x_scale: float) -> dict[str, list[float | None]]:
    return {
        "x": [round(one.x * x_scale, 4) for one in points],
        # JSON has no NaN; Plotly draws null as a gap.
        "y": [one.y if math.isfinite(one.y) else None for one in points],
    }


def _style(trace: Trace, figure: Figure) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": trace.label,
        "mode": trace.mode,
        "line": {"color": trace.colour, "width": 2, "dash": trace.dash},
        "marker": {"size": 7},
        "connectgaps": False,
        "hovertemplate": f"%{{y:.4~g}}<extra>{trace.label}</extra>",
        "showlegend": len(figure.traces) > 1,
    }


def _layout(figure: Figure, snapshot: RunSnapshot) -> Mapping[str, Any]:
    clear = "rgba(0,0,0,0)"
    is_empty = not any(snapshot.traces.get(one.name) for one in figure.traces)
    axis = {
        "gridcolor": "rgba(128,140,155,0.22)",
        "zeroline": False,
        "linecolor": clear,
        "visible": not is_empty,
        "automargin": True,
    }
    return {
        "title": {"text": figure.title, "font": {"size": 14}, "x": 0.02, "xanchor": "left"},
        "height": 300,
        "margin": {"l": 48, "r": 20, "t": 48, "b": 52},
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "font": {"family": "IBM Plex Sans, system-ui, sans-serif", "size": 12},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.14},
        "annotations": [_nothing_yet()] if is_empty else [],
        "xaxis": {**axis, "title": {"text": figure.x_title, "font": {"size": 12}}},
        "yaxis": {**axis, "rangemode": "tozero" if figure.starts_at_zero else "normal"},
        # The same value keeps what the viewer zoomed into; another run starts afresh.
        "uirevision": snapshot.run_id,
    }


def _nothing_yet() -> dict[str, Any]:
    middle = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper"}
    return {**middle, "text": wording.NO_POINTS, "showarrow": False, "font": {"size": 13}}

"""Values of the domain become words and rows for the screen: no Gradio, no HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from medqlora.domain.resources import EnvironmentConfig
from medqlora.domain.snapshot import Message, RunSnapshot
from medqlora.services.configuration import CatalogEntry, CompatibilityReport
from medqlora.services.evaluation import EvaluationOverview
from medqlora.services.run_summary import RunSummary
from ui.markup import Tone

Option = tuple[str, str]
"""A label and the value behind it, as a drop-down takes them."""

STATES: Mapping[str, str] = {
    "waiting": "Waiting",
    "running": "Running",
    "succeeded": "Done",
    "stopped": "Stopped",
    "failed": "Failed",
}
TONES: Mapping[str, Tone] = {"succeeded": "good", "stopped": "warn", "failed": "bad"}
SEVERITIES: Mapping[str, Tone] = {"error": "bad", "warning": "warn", "info": "plain"}
SHOWN_CHARS = 400
NONE = "-"


def shortened(text: str, limit: int = SHOWN_CHARS) -> str:
    """`text`, cut at a word with an ellipsis when it is longer than `limit` characters."""
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " …"


def duration(seconds: float) -> str:
    """A time span to the precision that people care about."""
    if seconds < 60:
        return f"{max(round(seconds), 0)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def figure(value: float | None) -> str:
    """A measured value, or a dash where there is none; NaN is said in words."""
    if value is None:
        return NONE
    return (
        "not a number"
        if math.isnan(value)
        else f"{value:.3g}"
        if abs(value) < 1
        else f"{value:.2f}"
    )


def when(created_at: str) -> str:
    """An ISO time as day and minute; a record without one must not hide the others."""
    try:
        return f"{datetime.fromisoformat(created_at):%d %b, %H:%M}"
    except ValueError:
        return "No date"


# The machine


def machine(environment: EnvironmentConfig) -> dict[str, str]:
    """The machine in tiles."""
    gpu = environment.gpu
    card = f"{gpu.name}, {gpu.total_gib:.0f} GiB" if gpu else "None"
    return {
        "Graphics card": card,
        "Memory": f"{environment.ram_gib:.0f} GiB",
        "Processor cores": str(environment.num_cpus),
        "Free disk": f"{environment.free_disk_gib:.0f} GiB",
    }


def model_note(
    entry: CatalogEntry | None, report: CompatibilityReport, *, smallest_card: str | None = None
) -> str:
    """What is known of a model: what it is for, its size, its licence, the memory it takes."""
    parts = [entry.note, f"{entry.billion_parameters:.3g} billion parameters."] if entry else []
    if entry:
        parts.append(f"{entry.licence}.")
        if entry.original and entry.original != entry.name:
            parts.append(f"A copy of {entry.original} that needs no account.")
        if entry.needs_gpu and smallest_card:
            parts.append(f"Smallest card: {smallest_card}.")
    if report.needed_gib is not None and report.available_gib is not None:
        parts.append(
            f"The smallest run takes about {report.needed_gib:.1f} GiB of memory, and "
            f"{report.available_gib:.1f} GiB are there."
        )
    return " ".join([*parts, *report.remarks])


# Runs


def run_options(runs: Iterable[RunSummary]) -> list[Option]:
    """Runs for a drop-down."""
    return [
        (f"{when(one.created_at)} · {STATES[one.state]} · {one.name}", one.run_id) for one in runs
    ]


def evaluation_options(evaluations: Iterable[EvaluationOverview]) -> list[Option]:
    """Evaluations for a drop-down."""
    return [
        (f"{when(one.created_at)} · {STATES[one.state]} · {one.name}", one.evaluation_id)
        for one in evaluations
    ]


def run_facts(snapshot: RunSnapshot) -> dict[str, str]:
    """A run's newest figures in tiles."""
    last = snapshot.last_step
    return {
        "Step": f"{last.step} of {last.total_steps}" if last else NONE,
        "Time left": _time_left(snapshot),
        "Loss": _newest(snapshot, "loss"),
        "Held-out loss": _newest(snapshot, "eval_loss"),
        "Tokens/s": f"{last.tokens_per_second:,.0f}" if last else NONE,
        "Peak memory": f"{snapshot.peak_memory_gib:.1f} GiB" if snapshot.peak_memory_gib else NONE,
    }


def _time_left(snapshot: RunSnapshot) -> str:
    if not snapshot.is_live:
        return NONE
    return duration(snapshot.last_step.seconds_left) if snapshot.last_step else "not yet known"


def _newest(snapshot: RunSnapshot, trace: str) -> str:
    points = snapshot.traces.get(trace)
    return figure(points[-1].y) if points else NONE


def run_detail(snapshot: RunSnapshot) -> str:
    """What stands at the end of a run's progress bar: that it is going on, and what is safe."""
    parts = [STATES[snapshot.state]] if snapshot.is_live else []
    if snapshot.checkpoint_step:
        parts.append(f"checkpoint of step {snapshot.checkpoint_step}")
    return " · ".join(parts)


def share_done(snapshot: RunSnapshot) -> float | None:
    """How full a run's progress bar is; None while that cannot be told."""
    if snapshot.is_live or snapshot.progress is not None:
        return snapshot.progress
    return 0.0


def messages(said: Sequence[Message]) -> list[tuple[str, Tone, str]]:
    """A run's sentences, newest first."""
    return [(f"{one.at:%H:%M:%S}", SEVERITIES[one.level], one.text) for one in reversed(said)]

"""What the tabs share: the services, what a viewer has chosen, and how handlers are wired.

The three states hold small values of one browser tab and are never the authority: each tab asks the
services again when it is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import gradio as gr

from medqlora.domain.snapshot import RunSnapshot
from medqlora.services import Services
from medqlora.services.guidance import GuidanceService
from medqlora.services.screening import ScreeningService
from ui import dataset_words, markup, present, wording

LIGHT: Final[dict[str, Any]] = {
    "api_visibility": "private",
    "concurrency_limit": None,
    "show_progress": "hidden",
}
"""For handlers that only read and answer at once."""

BUSY: Final[dict[str, Any]] = {**LIGHT, "show_progress": "minimal"}
"""For handlers that may take seconds."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What every tab gets.

    Attributes:
        services: The backend.
        tabs: The row of tabs, so that a button can open another one.
        dataset_id: The dataset chosen for training, empty for none.
        settings: The settings chosen for training, by name; empty before Configure has filled it.
        run_id: The run chosen last, empty for none.
    """

    services: Services
    tabs: gr.Tabs
    dataset_id: gr.State
    settings: gr.State
    run_id: gr.State


def tab_name(label: str) -> str:
    """A tab's element id and name."""
    return f"tab-{label.lower()}"


def opening(label: str) -> gr.HTML:
    """The opening sentence of a tab."""
    return gr.HTML(markup.lead(*wording.LEADS[label]))


def status_html(snapshot: RunSnapshot) -> str:
    """How a run stands: a bar with its phase, and its newest figures."""
    bar = markup.progress(
        snapshot.phase,
        present.share_done(snapshot),
        detail=present.run_detail(snapshot),
        tone=present.TONES.get(snapshot.state, "plain"),
    )
    check = snapshot.memory_check
    # While it goes on the peak may still come; a comparison is for the end.
    told = markup.note(check.message) if check and not snapshot.is_live else ""
    return bar + markup.facts(present.run_facts(snapshot)) + told


def messages_html(guidance: GuidanceService, snapshot: RunSnapshot) -> str:
    """What to do when a job failed, and what it had to say, newest first."""
    steps = guidance.steps(snapshot)
    advice = markup.steps(wording.WHAT_TO_DO, steps) if steps else ""
    if not snapshot.messages:
        return advice or markup.note(wording.NO_MESSAGES)
    return advice + markup.sentences(present.messages(snapshot.messages))


def phi_warning(screening: ScreeningService, text: str, told: str) -> str:
    """What to say before a text goes to a model; empty when nothing is, or when it was said before.

    Args:
        screening: The PHI screen.
        text: What somebody typed.
        told: The text that they were warned about last.
    """
    kinds = {} if text == told else screening.kinds(text)
    if not kinds:
        return ""
    found = ", ".join(f"{dataset_words.PHI_KINDS[kind].lower()} ({n})" for kind, n in kinds.items())
    return markup.notice(wording.PHI_TYPED.format(found=found), "warn")

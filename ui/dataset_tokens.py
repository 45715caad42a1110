"""Length and template proof on the Dataset tab: counted in a worker, shown when they are there.

The model is the one that Configure has; another one there is counted anew.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import MedQLoRAError
from medqlora.services.datasets import DatasetService
from ui import dataset_view, markup, wording
from ui.dataset_view import Updates, View

Settings = dict[str, Any]


class Tokens:
    """The tabs Length and What the model sees.

    It has a state and a timer of its own, so that a late answer never undoes what another job's
    handler has set.

    Args:
        datasets: Counts and keeps what was counted.
        view: Where it is shown.
        count: The state with the count that is going on.
        timer: Ticks while it goes on.
    """

    def __init__(
        self, datasets: DatasetService, view: View, count: gr.State, timer: gr.Timer
    ) -> None:
        self._datasets, self._view, self._count, self._timer = datasets, view, count, timer

    @property
    def outputs(self) -> list[Any]:
        """What `tick` may set."""
        return [self._count, self._timer, self._view.lengths, self._view.proof]

    def shown(self, source_id: str, settings: Settings) -> Updates:
        """What is known of a draft or dataset; where nothing is, counting starts."""
        known = self._known(source_id, settings)
        if known:
            return known
        model_name = _model(settings)
        try:
            counting = self._datasets.start_measuring(source_id, model_name)
        except MedQLoRAError as error:
            return dataset_view.not_measured(self._view, str(error))
        waiting = wording.COUNTING.format(model=model_name)
        return {
            self._count: {"job": counting, "source": source_id},
            self._timer: gr.Timer(active=True),
            **dataset_view.not_measured(self._view, waiting),
        }

    def tick(self, count: dict[str, str], settings: Settings) -> Updates:
        """How the count stands, and what it found once it is over."""
        if not count.get("job"):
            return {self._timer: gr.Timer(active=False)}
        snapshot = self._datasets.imports.snapshot(count["job"])
        if snapshot.is_live:
            return {self._view.lengths: markup.progress(snapshot.phase, snapshot.progress)}
        over = {self._count: {}, self._timer: gr.Timer(active=False)}
        try:
            self._datasets.imports.require_success(count["job"])
        except MedQLoRAError as error:
            return {**over, **dataset_view.not_measured(self._view, str(error))}
        return {**over, **self._known(count["source"], settings)}

    def _known(self, source_id: str, settings: Settings) -> Updates:
        length = int(settings.get("max_seq_length") or QLoRAConfig(EMBEDDED_MODEL).max_seq_length)
        asked = (source_id, _model(settings), length)
        lengths = self._datasets.lengths(*asked)
        if lengths is None:
            return {}
        terms = self._datasets.terms(source_id, _model(settings))
        return dataset_view.measured(self._view, lengths, terms, self._datasets.proofs(*asked))


def _model(settings: Settings) -> str:
    return str(settings.get("model_name") or EMBEDDED_MODEL)

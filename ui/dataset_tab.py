"""The Dataset tab: the sample or a file of the user's becomes a prepared dataset.

Reading, checking and splitting are the dataset service's; how a dataset looks is for
`dataset_view`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

from medqlora.domain.dataset import ColumnMapping, DatasetCard
from medqlora.errors import DataError, MappingNeededError
from medqlora.services import Services
from ui import dataset_view, markup, present, wording
from ui.guard import guarded
from ui.shared import BUSY, LIGHT, Shared, opening, tab_name

SAMPLED_BYTES, SAMPLED_COLUMNS = 4_000_000, 12
FILE_TYPES = [".json", ".jsonl", ".csv", ".tsv", ".xlsx", ".parquet", ".xml", ".zip", ".txt"]


def build(shared: Shared, page: gr.Blocks) -> None:
    """Lays the tab out and wires it."""
    handlers = Handlers(shared.services)
    with gr.Tab("Dataset", id=tab_name("Dataset"), elem_id=tab_name("Dataset")) as tab:
        opening("Dataset")
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                sample = gr.Button(
                    "Use the sample", variant="primary", elem_id="dataset-use-sample"
                )
                gr.HTML(markup.note(wording.SAMPLE_NOTE))
                file = gr.File(
                    label=wording.UPLOAD_LABEL,
                    file_types=FILE_TYPES,
                    elem_id="dataset-file",
                    height=170,
                )
                gr.HTML(markup.note(wording.PRIVACY_NOTE))
                columns = dataset_view.lay_out_columns()
                share = gr.Slider(
                    0.0,
                    0.5,
                    value=0.1,
                    step=0.05,
                    label="Share held out",
                    info=wording.EVAL_SHARE_HELP,
                    elem_id="dataset-eval-share",
                )
                prepare = gr.Button("Prepare", interactive=False, elem_id="dataset-prepare")
            with gr.Column(scale=3, min_width=360):
                prepared = gr.Dropdown(
                    label="Dataset in use", info=wording.DATASETS_HELP, elem_id="dataset-current"
                )
                view = dataset_view.lay_out_view()
    chosen = [shared.dataset_id, prepared, *view.outputs]
    read = [*view.outputs, *columns.outputs, sample, prepare]
    page.load(guarded(handlers.open), shared.dataset_id, chosen, **LIGHT)
    tab.select(guarded(handlers.refresh), shared.dataset_id, prepared, **LIGHT)
    sample.click(guarded(handlers.use_sample), share, chosen, **BUSY)
    file.upload(guarded(handlers.read), file, read, **BUSY)
    file.clear(guarded(handlers.forget), None, [columns.box, sample, prepare], **LIGHT)
    columns.read_again.click(guarded(handlers.read_as), [file, *columns.inputs], read, **BUSY)
    given = [file, share, columns.is_own, *columns.inputs]
    prepare.click(guarded(handlers.prepare), given, [*chosen, sample, prepare], **BUSY)
    prepared.input(guarded(handlers.choose), prepared, chosen, **LIGHT)


class Handlers:
    """What the tab's controls do.

    Args:
        services: The backend.
    """

    def __init__(self, services: Services) -> None:
        self._datasets = services.datasets

    def open(self, dataset_id: str) -> list[Any]:
        """A page load: the dataset chosen before, else the newest."""
        cards = self._datasets.cards()
        if not cards:
            nothing = dataset_view.nothing(markup.empty(wording.NO_DATASET))
            return ["", gr.Dropdown(choices=[], value=None), *nothing]
        chosen = {one.dataset_id: one for one in cards}.get(dataset_id, cards[0])
        return self._chosen(chosen)

    def refresh(self, dataset_id: str) -> Any:
        """The tab is opened: the list as it is now."""
        options = present.dataset_options(self._datasets.cards())
        return gr.Dropdown(choices=options, value=dataset_id or None)

    def use_sample(self, share: float) -> list[Any]:
        """Prepares the data that ships with the project."""
        return self._chosen(self._datasets.prepare(None, eval_share=share))

    def read(self, path: str) -> list[Any]:
        """Reads an uploaded file and shows what is in it."""
        return self._read(Path(path), None)

    def read_as(
        self, path: str | None, prompt: list[str], response: str | None, context: str | None
    ) -> list[Any]:
        """Reads the uploaded file again with the columns that the user named."""
        mapping = dataset_view.mapping_from(prompt, response, context)
        return self._read(_given(path), mapping)

    def forget(self) -> list[Any]:
        """The uploaded file was taken away."""
        return [gr.Accordion(visible=False), *_buttons(is_ready=False)]

    def prepare(
        self,
        path: str | None,
        share: float,
        is_own: bool,
        prompt: list[str],
        response: str | None,
        context: str | None,
    ) -> list[Any]:
        """Prepares the uploaded file for training."""
        mapping = dataset_view.mapping_from(prompt, response, context) if is_own else None
        card = self._datasets.prepare(_given(path), mapping=mapping, eval_share=share)
        return [*self._chosen(card), *_buttons(is_ready=True)]

    def choose(self, dataset_id: str) -> list[Any]:
        """Another prepared dataset was chosen."""
        return self._chosen(self._datasets.card(dataset_id))

    def _chosen(self, card: DatasetCard) -> list[Any]:
        limit = dataset_view.PREVIEW_ROWS
        entries = self._datasets.entries(card.dataset_id, "train", limit=limit)
        dropdown = self.refresh(card.dataset_id)
        return [card.dataset_id, dropdown, *dataset_view.of_card(card, entries)]

    def _read(self, path: Path, mapping: ColumnMapping | None) -> list[Any]:
        try:
            result = self._datasets.inspect(path, mapping=mapping)
        except MappingNeededError as error:
            notice = markup.notice(wording.MAPPING_NEEDED, "warn")
            asked = dataset_view.ask_columns(error, self._samples(path, error.columns))
            return [*dataset_view.nothing(notice), *asked, *_buttons(is_ready=False)]
        except DataError as error:
            notice = markup.notice(str(error), "bad")
            kept = [gr.skip()] * 5
            return [*dataset_view.nothing(notice), *kept, *_buttons(is_ready=False)]
        columns = dataset_view.show_columns(result, is_own=mapping is not None)
        buttons = _buttons(is_ready=result.validation.is_valid)
        return [*dataset_view.of_file(result), *columns, *buttons]

    def _samples(self, path: Path, columns: tuple[str, ...]) -> dict[str, str]:
        """The first value of each column, read as if it were the answer; none for a large file."""
        samples: dict[str, str] = {}
        if path.stat().st_size > SAMPLED_BYTES:
            return samples
        for column in columns[:SAMPLED_COLUMNS]:
            mapping = ColumnMapping(prompt=(column,), response=column)
            with suppress(DataError):  # not text, so nothing to choose it for
                entries = self._datasets.inspect(path, mapping=mapping).entries
                if entries:
                    samples[column] = entries[0].answer
        return samples


def _given(path: str | None) -> Path:
    if path is None:
        raise DataError("There is no file yet.", hint="Upload one, or use the sample.")
    return Path(path)


def _buttons(*, is_ready: bool) -> list[Any]:
    # What there is to do next is the one that stands out: the sample, or the file that was read.
    return [
        gr.Button(variant="secondary" if is_ready else "primary"),
        gr.Button(variant="primary" if is_ready else "secondary", interactive=is_ready),
    ]

"""What the Dataset tab's controls do: start a job, follow it, show what came of it.

`work` is a small state of one browser tab: the job that is followed, the draft that is shown, and
the count of tokens that is going on. The jobs and drafts themselves are the dataset service's, so
that losing the page loses nothing.
"""

from __future__ import annotations

import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio as gr

from medqlora.domain.dataset import DatasetCard
from medqlora.domain.preparing import Choices, Draft
from medqlora.errors import DataError, MappingNeededError, MedQLoRAError
from ui import (
    dataset_choices,
    dataset_html,
    dataset_view,
    dataset_words,
    downloads,
    markup,
    wording,
)
from ui.dataset_choices import Decisions
from ui.dataset_steps import Steps
from ui.dataset_tokens import Tokens
from ui.dataset_view import Updates, View
from ui.shared import Shared

Work = dict[str, Any]
Upload = dict[str, Any]


class Handlers:
    """The controls' handlers; each gives its updates by component.

    Args:
        shared: What the tabs share.
        steps: The left column.
        view: The right column.
        prepared: The list of prepared datasets.
        work: The tab's state.
        timer: Ticks while a job is followed.
        tokens: Length and template proof.
    """

    def __init__(
        self,
        shared: Shared,
        steps: Steps,
        view: View,
        prepared: gr.Dropdown,
        work: gr.State,
        timer: gr.Timer,
        tokens: Tokens,
    ) -> None:
        self._datasets = shared.services.datasets
        self._mirror = shared.services.mirror
        self._imports = shared.services.datasets.imports
        self._dataset_id = shared.dataset_id
        self._steps, self._view, self._prepared = steps, view, prepared
        self._work, self._timer, self._tokens = work, timer, tokens

    @property
    def outputs(self) -> list[Any]:
        """What any handler may set."""
        mine = [self._dataset_id, self._prepared, self._work, self._timer]
        shown = [*self._tokens.outputs[:2], *self._steps.outputs, *self._view.outputs]
        return [*mine, *shown]

    def open(self, dataset_id: str, settings: dict[str, Any]) -> Updates:
        """A page load: the dataset chosen before, else the newest."""
        cards = self._datasets.cards()
        chosen = {one.dataset_id: one for one in cards}.get(dataset_id, next(iter(cards), None))
        if chosen:
            shown = {**self._card(chosen, settings), **self._drafts()}
            del shown[self._work]  # a quick user may have begun to work meanwhile
            return shown
        empty = dataset_view.nothing(self._view, markup.empty(wording.NO_DATASET))
        return {
            self._dataset_id: "",
            self._prepared: gr.Dropdown(choices=[], value=None),
            **empty,
            **self._drafts(),
        }

    def refresh(self, dataset_id: str, work: Work, settings: dict[str, Any]) -> Updates:
        """The tab is opened: the list as it is now, and lengths for the model chosen meanwhile."""
        shown = work.get("draft") or dataset_id
        if work.get("job") or not shown:
            return {self._prepared: self._options(dataset_id)}
        tokens = self._tokens.shown(shown, settings)
        return {self._prepared: self._options(dataset_id), **tokens}

    def use_sample(self) -> Updates:
        """Reads and prepares the data that ships with the project."""
        return self._following({"job": self._imports.start_import(None), "is_sample": True})

    def read(self, path: str | None) -> Updates:
        """Reads an uploaded file."""
        if not path:
            raise DataError("There is no file yet.", hint="Drop one on the field.")
        job = self._imports.start_import(Path(path))
        return {
            self._steps.upload: {"path": path, "jobs": [job]},
            **self._following({"job": job}),
        }

    def fetch(self, name: str) -> Updates:
        """Reads a dataset of the model hub."""
        if not name.strip():
            raise DataError("No dataset is named.", hint="Write owner/name, then press Read it.")
        source = f"hub:{name.strip().removeprefix('hub:')}"
        return self._following({"job": self._imports.start_import(source), "source": source})

    def read_as(
        self,
        work: Work,
        upload: Upload,
        prompt: list[str],
        response: str | None,
        context: str | None,
    ) -> Updates:
        """Reads the file again with the columns that the user named."""
        source = work.get("source") or (Path(upload["path"]) if upload else None)
        if source is None:
            raise DataError("The file is not here any more.", hint="Upload it again.")
        mapping = dataset_choices.mapping_from(prompt, response, context)
        job = self._imports.start_import(source, mapping=mapping)
        hub = work.get("source", "")
        read = {**upload, "jobs": [*upload["jobs"], job]} if upload and not hub else upload
        return {self._steps.upload: read, **self._following({"job": job, "source": hub})}

    def propose(self, work: Work, number: str) -> Updates:
        """One of the readings was chosen: its columns, to be looked at and changed."""
        if not work.get("asked") or not number.isdecimal():
            raise DataError("That is not one of the readings.", hint="Upload the file again.")
        try:
            self._imports.require_success(work["asked"])
        except MappingNeededError as error:
            return dataset_choices.filled(self._steps.columns, error, error.candidates[int(number)])
        return {}

    def go_on(self, draft_id: str, settings: dict[str, Any]) -> Updates:
        """A file that was read before was chosen."""
        return self._draft(self._imports.draft(draft_id), settings)

    def forget(
        self, upload: Upload, work: Work, dataset_id: str, settings: dict[str, Any]
    ) -> Updates:
        """The uploaded file was taken away: it is deleted, with all that was read of it."""
        shown = {self._work: {}, **self._steps.emptied()}
        if not upload:
            return shown
        path = Path(upload["path"])
        path.unlink(missing_ok=True)
        is_used = work.get("job") and work.get("draft") in upload["jobs"]
        for job in [*([work["job"]] if is_used else []), *upload["jobs"]]:
            self._imports.discard(job)
        told = markup.notice(wording.UPLOAD_DELETED.format(name=path.name))
        return {**self.open(dataset_id, settings), **shown, self._view.notice: told}

    def cancel(self, work: Work) -> Updates:
        """Ends the job that is going on; what it wrote so far is removed."""
        if work.get("job"):
            self._imports.stop(work["job"])
        return {self._steps.progress: markup.progress(wording.CANCELLING, None)}

    def prepare(self, work: Work, *given: Any) -> Updates:
        """Makes a dataset of the file that was read."""
        if not work.get("draft"):
            raise DataError("No file was read yet.", hint="Upload one, or use the sample.")
        draft = self._imports.draft(work["draft"])
        names = [one.name for one in fields(Decisions)][1:]
        choices = dataset_choices.choices_from(dict(zip(names, given, strict=True)), draft)
        job = self._imports.start_preparing(draft.draft_id, choices)
        return self._following({"job": job, "draft": draft.draft_id})

    def choose(self, dataset_id: str, settings: dict[str, Any]) -> Updates:
        """Another prepared dataset was chosen."""
        return self._card(self._datasets.use(dataset_id), settings)

    def bring_back(self, dataset_id: str, settings: dict[str, Any]) -> Updates:
        """The datasets that are in the mirror and not here come back."""
        restored = self._mirror.restore_datasets()
        told = markup.notice(restored.message, "warn" if restored.not_back else "good")
        return {**self.open(dataset_id, settings), self._view.notice: told}

    def tick(self, work: Work, settings: dict[str, Any]) -> Any:
        """How the job stands, and what came of it once it is over."""
        if job := work.get("job"):
            snapshot = self._imports.snapshot(job)
            if snapshot.is_live:
                bar = markup.progress(snapshot.phase, snapshot.progress)
                return {self._steps.progress: bar}
            return self._ended(work, settings)
        return {self._timer: gr.Timer(active=False)}

    def _following(self, work: Work) -> Updates:
        return {
            self._work: work,
            self._timer: gr.Timer(active=True),
            self._steps.progress: markup.progress("Starting", None),
            self._steps.cancel: gr.Button(visible=True),
            self._steps.sample: gr.Button(interactive=False),
            self._steps.prepare: gr.Button(interactive=False),
        }

    def _ended(self, work: Work, settings: dict[str, Any]) -> Updates:
        over = {
            self._steps.progress: "",
            self._steps.cancel: gr.Button(visible=False),
            self._timer: gr.Timer(active=False),
        }
        try:
            if self._imports.spec(work["job"]).kind == "prepare":
                card = self._datasets.prepared(work["job"])
                return {**over, **self._card(card, settings, draft_id=work["draft"])}
            self._imports.require_success(work["job"])
            draft = self._imports.draft(work["job"])
            if work.get("is_sample"):
                choices = Choices(phi="mask" if draft.phi.num_rows_with_phi else None)
                job = self._imports.start_preparing(draft.draft_id, choices)
                return self._following({"job": job, "draft": draft.draft_id})
            return {**over, **self._draft(draft, settings)}
        except MappingNeededError as error:
            notice = markup.notice(f"{error.message} {wording.MAPPING_NEEDED}", "warn")
            return {
                **over,
                self._work: {"asked": work["job"], "source": work.get("source", "")},
                **dataset_view.nothing(self._view, notice),
                self._view.facts: dataset_html.columns(error.columns, error.samples),
                **dataset_choices.asked(self._steps.columns, error),
                self._steps.sample: gr.Button(variant="secondary", interactive=True),
            }
        except MedQLoRAError as error:
            notice = markup.notice(str(error), "bad")
            draft_id = work.get("draft", "")
            # What a refused choice was about stays in sight.
            kept = {self._view.notice: notice} if draft_id else None
            return {
                **over,
                self._work: {"draft": draft_id},
                **(kept or dataset_view.nothing(self._view, notice)),
                **self._steps.buttons(is_ready=bool(draft_id)),
            }

    def _draft(self, draft: Draft, settings: dict[str, Any]) -> Updates:
        return {
            self._work: {"draft": draft.draft_id},
            **dataset_view.of_draft(
                self._view,
                draft,
                self._imports.rows(draft.draft_id, limit=dataset_view.PREVIEW_ROWS),
                self._imports.phi_examples(draft.draft_id),
                dataset_html.cleaning(
                    draft.mendable, self._imports.cleaning_examples(draft.draft_id)
                ),
            ),
            **self._reports(draft.draft_id),
            **dataset_choices.understood(self._steps.columns, draft),
            **dataset_choices.shown_for_draft(self._steps.decisions, draft),
            **self._steps.buttons(is_ready=draft.validation.is_valid),
            **self._drafts(),
            **self._tokens.shown(draft.draft_id, settings),
        }

    def _card(self, card: DatasetCard, settings: dict[str, Any], *, draft_id: str = "") -> Updates:
        limit = dataset_view.PREVIEW_ROWS
        entries = self._datasets.entries(card.dataset_id, "train", limit=limit)
        return {
            self._work: {"draft": draft_id},
            self._dataset_id: card.dataset_id,
            self._prepared: self._options(card.dataset_id),
            **dataset_view.of_card(self._view, card, entries),
            self._steps.prepare: gr.Button(variant="secondary", interactive=bool(draft_id)),
            self._steps.sample: gr.Button(variant="secondary", interactive=True),
            **self._tokens.shown(card.dataset_id, settings),
        }

    def _reports(self, draft_id: str) -> Updates:
        folder = Path(tempfile.mkdtemp(dir=downloads.folder()))
        page, table = self._imports.write_reports(draft_id, folder)
        return {
            self._view.page: gr.DownloadButton(value=str(page)),
            self._view.sheet: gr.DownloadButton(value=str(table)),
        }

    def _options(self, dataset_id: str) -> Any:
        options = dataset_words.dataset_options(self._datasets.cards())
        return gr.Dropdown(choices=options, value=dataset_id or None)

    def _drafts(self) -> Updates:
        options = dataset_words.draft_options(self._imports.drafts())
        return {self._steps.drafts: gr.Dropdown(choices=options, value=None, visible=bool(options))}

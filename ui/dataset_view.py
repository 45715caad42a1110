"""What the Dataset tab shows of a file that was read or of a prepared dataset.

A set of components and the functions that make their updates. When they change is for
`dataset_tab`, the pictures are `dataset_html`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from medqlora.domain.dataset import ColumnMapping, DatasetCard, MedicalDataEntry, ValidationResult
from medqlora.domain.preparing import Draft, DraftRow, LengthReport, PhiExample, TemplateProof
from medqlora.services.datasets import TermFragments
from ui import dataset_html, dataset_words, markup, wording

PREVIEW_ROWS = 8

Updates = dict[Any, Any]
"""What a handler sets, by component."""


@dataclass(frozen=True, slots=True)
class View:
    """The components that show a dataset, whether read or prepared."""

    notice: gr.HTML
    facts: gr.HTML
    go_on: gr.Button
    tabs: gr.Tabs
    table: gr.HTML
    chat: gr.Chatbot
    findings: gr.HTML
    downloads: gr.Row
    page: gr.DownloadButton
    sheet: gr.DownloadButton
    cleaning: gr.HTML
    phi: gr.HTML
    lengths: gr.HTML
    proof: gr.HTML
    record: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What a handler may set."""
        return [getattr(self, one.name) for one in fields(self)]


def lay_out_view() -> View:
    """A notice, figures, and the dataset from all sides."""
    notice = gr.HTML(elem_id="dataset-notice")
    facts = gr.HTML(elem_id="dataset-facts")
    go_on = gr.Button(
        "Continue to Configure", variant="primary", visible=False, elem_id="dataset-continue"
    )
    with gr.Tabs(visible=False, elem_id="dataset-preview") as tabs:
        with gr.Tab("Table", elem_id="dataset-preview-table"):
            table = gr.HTML(elem_id="dataset-table")
        with gr.Tab("Chat", elem_id="dataset-preview-chat"):
            chat = gr.Chatbot(
                elem_id="dataset-chat", height=460, show_label=False, buttons=[], autoscroll=False
            )
        with gr.Tab("Findings", elem_id="dataset-preview-findings"):
            findings = gr.HTML(elem_id="dataset-findings")
            with gr.Row(visible=False) as downloads:
                page = gr.DownloadButton(
                    "Report as a page", elem_id="dataset-report-html", size="md"
                )
                sheet = gr.DownloadButton(
                    "Report as a table (CSV)", elem_id="dataset-report-csv", size="md"
                )
            cleaning = gr.HTML(elem_id="dataset-cleaning-examples")
        with gr.Tab("PHI screen", elem_id="dataset-preview-phi"):
            phi = gr.HTML(elem_id="dataset-phi")
        with gr.Tab("Length", elem_id="dataset-preview-lengths"):
            lengths = gr.HTML(elem_id="dataset-lengths")
        with gr.Tab("What the model sees", elem_id="dataset-preview-proof"):
            proof = gr.HTML(elem_id="dataset-proof")
        with gr.Tab("Record", elem_id="dataset-preview-record"):
            record = gr.HTML(elem_id="dataset-record")
    shown = (notice, facts, go_on, tabs, table, chat, findings, downloads, page, sheet, cleaning)
    return View(*shown, phi, lengths, proof, record)


def nothing(view: View, notice: str) -> Updates:
    """Updates of a view with a notice alone."""
    return {
        view.notice: notice,
        view.facts: "",
        view.go_on: gr.Button(visible=False),
        view.tabs: gr.Tabs(visible=False),
    }


def of_card(view: View, card: DatasetCard, entries: Sequence[MedicalDataEntry]) -> Updates:
    """Updates of a view for a prepared dataset and its first entries."""
    sentence = wording.PREPARED.format(
        name=card.name, train=f"{card.num_train:,}", held=f"{card.num_eval:,}"
    )
    unscreened = "" if card.screening else markup.notice(wording.UNSCREENED, "warn")
    return {
        view.notice: markup.notice(sentence, "good") + unscreened,
        view.facts: markup.facts(dataset_words.dataset_facts(card.validation, card)),
        **_preview(view, entries, card.num_train),
        view.findings: _findings(card.validation, card.mapping, card.warnings),
        view.downloads: gr.Row(visible=False),
        view.go_on: gr.Button(visible=True),
        view.cleaning: "",
        view.phi: dataset_html.screened(card),
        view.record: dataset_html.record(card),
    }


def of_draft(
    view: View,
    draft: Draft,
    rows: Sequence[DraftRow],
    phi_examples: Sequence[PhiExample],
    cleaning: str,
) -> Updates:
    """Updates of a view for a file as it was read.

    Args:
        view: The components.
        draft: The file.
        rows: Its first rows.
        phi_examples: Findings of the PHI screen with the text around them.
        cleaning: What each cleaning step would do, as HTML.
    """
    counts = draft.validation.counts
    if draft.validation.is_valid:
        sentence = wording.FILE_READ.format(valid=f"{counts.valid:,}", rows=f"{counts.rows:,}")
        found = wording.PHI_TO_DECIDE if draft.phi.num_rows_with_phi else ""
        notice = markup.notice(f"{sentence} {found}", "warn" if found else "plain")
    else:
        notice = markup.notice(wording.FILE_UNUSABLE.format(rows=f"{counts.rows:,}"), "bad")
    facts = dataset_words.dataset_facts(draft.validation, None)
    if draft.phi.num_rows_with_phi:
        facts["Entries with PHI findings"] = f"{draft.phi.num_rows_with_phi:,}"
    return {
        view.notice: notice,
        view.facts: markup.facts(facts),
        **_preview(view, [one.entry for one in rows], draft.num_entries),
        view.findings: _findings(draft.validation, draft.mapping, draft.warnings),
        view.downloads: gr.Row(visible=True),
        view.go_on: gr.Button(visible=False),
        view.phi: dataset_html.phi(draft.phi, phi_examples),
        view.cleaning: cleaning,
        view.record: markup.empty(wording.NO_RECORD),
    }


def measured(
    view: View,
    lengths: LengthReport,
    terms: Sequence[TermFragments],
    proofs: Sequence[TemplateProof],
) -> Updates:
    """Updates of a view once tokens were counted."""
    return {
        view.lengths: dataset_html.lengths(lengths) + dataset_html.terms(terms),
        view.proof: dataset_html.proof(proofs),
    }


def not_measured(view: View, why: str) -> Updates:
    """Updates of a view while tokens are not counted."""
    return {view.lengths: markup.empty(why), view.proof: markup.empty(why)}


def _preview(view: View, entries: Sequence[MedicalDataEntry], total: int) -> Updates:
    caption = wording.PREVIEW_NOTE.format(shown=len(entries), total=f"{total:,}")
    table = markup.table(("Question", "Answer"), dataset_words.entry_rows(entries), caption=caption)
    return {
        view.tabs: gr.Tabs(visible=bool(entries)),
        view.table: table,
        view.chat: dataset_words.chat(entries),
    }


def _findings(checked: ValidationResult, mapping: ColumnMapping, warnings: Sequence[str]) -> str:
    rows = dataset_words.findings(checked, warnings)
    found = markup.sentences(rows) if rows else markup.empty(wording.NO_FINDINGS)
    return found + markup.note(dataset_words.mapping_sentence(mapping))

"""The Dataset tab's pictures as HTML: findings of the PHI screen, cleaning, lengths, the template.

Everything in them is escaped by `markup`; what they show is the services'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from medqlora.domain.dataset import DatasetCard
from medqlora.domain.preparing import LengthReport, PhiExample, TemplateProof
from medqlora.domain.records import Overlap, PhiFindings
from medqlora.services.datasets import TermFragments, mean_pieces
from medqlora.services.imports import CLEANING_STEPS
from medqlora.services.screening import COVERS, DOES_NOT_COVER, MEASURED, NO_CERTIFICATE
from ui import dataset_words, markup, wording

SHOWN_TERMS = 15


def columns(names: Sequence[str], samples: Mapping[str, Sequence[str]]) -> str:
    """The columns of a file with some of their values, to tell them apart."""
    rows = [(name, "\n".join(samples.get(name, ()))) for name in names]
    return markup.table(("Column", "Some of its values"), rows, caption="Columns of the file")


def phi(found: PhiFindings, examples: Sequence[PhiExample]) -> str:
    """What the PHI screen found by kind, each kind's examples behind a click."""
    if not found.num_rows_with_phi:
        sentence = wording.PHI_NOTHING.format(rows=f"{found.num_rows:,}")
        return markup.notice(sentence, "good") + _scope()
    sentence = wording.PHI_FOUND.format(
        places=f"{sum(found.spans_by_kind.values()):,}", rows=f"{found.num_rows_with_phi:,}"
    )
    kinds = "".join(
        _kind(kind, spans, found.rows_by_kind[kind], [one for one in examples if one.kind == kind])
        for kind, spans in found.spans_by_kind.items()
    )
    return markup.notice(sentence, "warn") + kinds + _scope()


def _scope() -> str:
    missed = "".join(f"<li>{markup.safe(one)}</li>" for one in DOES_NOT_COVER)
    return (
        markup.note(f"{NO_CERTIFICATE} {wording.PHI_RESPONSIBLE}")
        + '<details class="mq-details"><summary>What it looks for, and what it misses</summary>'
        + markup.note(COVERS)
        + markup.note(MEASURED)
        + f'<p class="mq-note">It does not find:</p><ul class="mq-missed">{missed}</ul></details>'
    )


def _kind(kind: str, spans: int, rows: int, examples: Iterable[PhiExample]) -> str:
    items = "".join(
        f"<li><small>row {one.row:,}, {markup.safe(one.part)}</small>"
        f"<span>{markup.safe(one.before)}<mark>{markup.safe(one.text)}</mark>{markup.safe(one.after)}</span>"
        f"<em>{markup.safe(one.reason)}</em></li>"
        for one in examples
    )
    title = f"{dataset_words.PHI_KINDS.get(kind, kind)}: {spans:,} in {rows:,} entries"
    return (
        f'<details class="mq-details"><summary>{markup.safe(title)}</summary>'
        f'<ul class="mq-examples">{items}</ul></details>'
    )


def cleaning(mendable: Mapping[str, int], examples: Mapping[str, Sequence[object]]) -> str:
    """What each cleaning step would do, and texts before and after it.

    Args:
        mendable: How many entries each step would change, by its name.
        examples: Texts with `before` and `after` of each step, by its name.
    """
    if not mendable:
        return markup.note(wording.NOTHING_TO_CLEAN)
    return markup.heading("What cleaning could do") + "".join(
        f'<details class="mq-details"><summary>{CLEANING_STEPS[name].title}: {rows:,} entries'
        f"</summary>{markup.note(CLEANING_STEPS[name].does)}"
        f"{_before_and_after(examples.get(name, ()))}</details>"
        for name, rows in mendable.items()
    )


def _before_and_after(examples: Sequence[object]) -> str:
    rows = [(getattr(one, "before", ""), getattr(one, "after", "")) for one in examples]
    return markup.table(("Before", "After"), rows, caption="Examples") if rows else ""


def lengths(report: LengthReport) -> str:
    """How long entries are against the longest that is allowed, as bars."""
    tallest = max(report.counts, default=1) or 1
    bars = "".join(
        f'<i style="height:{100 * count / tallest:.1f}%" class="{_side(edge, report)}" '
        f'title="up to {edge:,} tokens: {count:,} entries"></i>'
        for edge, count in zip(report.edges, report.counts, strict=True)
    )
    last = report.edges[-1] if report.edges else 0
    sentence = wording.LENGTHS_FIT if report.num_cut == 0 else wording.LENGTHS_CUT
    said = sentence.format(
        length=f"{report.max_seq_length:,}",
        longest=f"{report.longest:,}",
        cut=f"{report.num_cut:,}",
        share=f"{report.share_cut:.1%}",
        answers=f"{report.share_of_answers_cut:.1%}",
        lost=f"{report.num_without_answer:,}",
        for_99=f"{report.length_for_99:,}",
        model=report.model_name,
    )
    return (
        markup.notice(said, "good" if report.num_cut == 0 else "warn")
        + f'<div class="mq-histogram" role="img" aria-label="{markup.safe(said)}">{bars}</div>'
        + f'<div class="mq-axis"><span>0</span><span>tokens of an entry</span><span>{last:,}</span>'
        "</div>" + markup.note(wording.LENGTHS_LEGEND)
    )


def terms(found: Sequence[TermFragments]) -> str:
    """How the tokenizer cuts up medical terms of the entries, those in the most pieces first."""
    if not found:
        return ""
    means = "; ".join(f"{kind} {mean:.1f}" for kind, mean in mean_pieces(found).items())
    rows = [
        (one.term, one.kind, " · ".join(one.pieces), f"{len(one.pieces)}", f"{one.count:,}")
        for one in found[:SHOWN_TERMS]
    ]
    headers = ("Term", "Kind", "Its tokens", "Tokens", "Times")
    return (
        markup.heading("How medical terms are cut up")
        + markup.note(wording.TERMS.format(means=means))
        + markup.table(headers, rows, caption=f"{len(rows)} of {len(found):,} terms found")
    )


def _side(edge: int, report: LengthReport) -> str:
    return "mq-over" if edge > report.max_seq_length else "mq-within"


def proof(proofs: Sequence[TemplateProof]) -> str:
    """Entries exactly as the model sees them, trained tokens coloured."""
    return markup.note(wording.PROOF_LEGEND) + "".join(_one_proof(one) for one in proofs)


def _one_proof(one: TemplateProof) -> str:
    tokens = "".join(
        f'<span class="{_token_class(token.is_trained, token.is_cut)}" '
        f'title="token {token.token_id}">{_visible(token.text)}</span>'
        for token in one.tokens
    )
    more = f" … {one.num_more:,} more tokens" if one.num_more else ""
    cut = f", {one.num_cut:,} cut" if one.num_cut else ""
    title = f"Entry {one.row:,}: {one.num_trained:,} tokens are learned{cut}"
    tone = "" if one.num_trained else markup.notice(wording.PROOF_NOTHING_LEARNED, "bad")
    return (
        f"{markup.heading(title)}{tone}"
        f'<div class="mq-proof" tabindex="0">{tokens}{markup.safe(more)}</div>'
    )


def _token_class(is_trained: bool, is_cut: bool) -> str:
    return "mq-token-cut" if is_cut else "mq-token-trained" if is_trained else "mq-token"


def _visible(text: str) -> str:
    return markup.safe(text).replace("\n", "⏎<br>")


def record(card: DatasetCard) -> str:
    """What was done to make a dataset, and where it came from."""
    rows = [(name, value) for name, value in dataset_words.card_record(card) if value]
    table = markup.record(rows, caption="How this dataset was made")
    return table + "".join(_overlap(one) for one in card.overlaps)


def screened(card: DatasetCard) -> str:
    """What the PHI screen did to a prepared dataset."""
    tone: markup.Tone = "plain" if card.screening else "warn"
    return markup.notice(dataset_words.screened(card.screening), tone) + _scope()


def _overlap(one: Overlap) -> str:
    if not one.num_entries:
        return markup.note(wording.NO_OVERLAP.format(benchmark=one.benchmark))
    said = wording.OVERLAP.format(
        entries=f"{one.num_entries:,}",
        benchmark=one.benchmark,
        exact=f"{one.num_exact:,}",
        normalised=f"{one.num_normalised:,}",
        near=f"{one.num_near:,}",
    )
    return markup.notice(said, "warn")

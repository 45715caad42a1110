"""Datasets become words and rows for the screen: no Gradio, no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from medqlora.domain.dataset import ColumnMapping, DatasetCard, MedicalDataEntry, ValidationResult
from medqlora.domain.phi import ScreeningRecord
from medqlora.domain.preparing import Draft
from ui.markup import Tone
from ui.present import SEVERITIES, Option, shortened, when

COUNTS: Mapping[str, str] = {
    "missing_or_empty": "Empty",
    "corrupted": "Unreadable",
    "dup_exact": "Repeated",
    "dup_prompt_conflict": "Same question, other answer",
    "resp_lt_3_words": "Answers under 3 words",
}
PHI_KINDS: Mapping[str, str] = {
    "name": "Names",
    "location": "Places",
    "date": "Dates",
    "age": "Ages over 89",
    "phone": "Phone numbers",
    "fax": "Fax numbers",
    "email": "E-mail addresses",
    "ssn": "Social security numbers",
    "mrn": "Record numbers",
    "health_plan": "Health plan numbers",
    "account": "Account numbers",
    "licence": "Licence numbers",
    "vehicle": "Vehicles and plates",
    "device": "Device numbers",
    "url": "Web addresses",
    "ip": "IP addresses",
    "unique_id": "Other unique codes",
}
PHI_ACTIONS: Mapping[str, str] = {
    "mask": "Findings were masked by their kind",
    "surrogate": "Findings were replaced by surrogates",
    "drop": "Entries with findings were left out",
    "keep": "Findings were kept, confirmed by the user",
}


def dataset_options(cards: Iterable[DatasetCard]) -> list[Option]:
    """The prepared datasets for a drop-down."""
    return [
        (
            f"{one.name} · {one.num_train + one.num_eval:,} entries",
            one.dataset_id,
        )
        for one in cards
    ]


def dataset_facts(checked: ValidationResult, card: DatasetCard | None) -> dict[str, str]:
    """The figures of a dataset that matter at a glance; findings of zero are left out."""
    counts = checked.counts
    shown = {"Entries": counts.rows, "Usable": counts.valid}
    if card:
        shown |= {"To learn from": card.num_train, "Held out": card.num_eval}
    found = {COUNTS[name]: getattr(counts, name) for name in COUNTS}
    shown |= {label: count for label, count in found.items() if count}
    return {label: f"{count:,}" for label, count in shown.items()}


def findings(
    checked: ValidationResult, warnings: Sequence[str] = ()
) -> list[tuple[str, Tone, str]]:
    """What checking found, most serious first: which rows, how serious, what."""
    rows: list[tuple[str, Tone, str]] = [
        (_rows(one.rows, one.count), SEVERITIES[one.severity], one.message)
        for one in checked.issues
    ]
    return rows + [("file", "warn", text) for text in warnings]


def _rows(rows: Sequence[int], count: int) -> str:
    if not rows:
        return f"{count}" if count else ""
    more = ", …" if count > len(rows[:3]) else ""
    return ("row " if count == 1 else "rows ") + ", ".join(map(str, rows[:3])) + more


def column_options(columns: Sequence[str], samples: Mapping[str, str]) -> list[Option]:
    """Columns for a drop-down, each with a value from the file where one is known."""
    return [
        (f"{one}: {shortened(samples[one], 60)}" if one in samples else one, one) for one in columns
    ]


def draft_options(drafts: Iterable[Draft]) -> list[Option]:
    """Files that were read and not forgotten, for a drop-down."""
    return [
        (
            f"{one.provenance.name} · {one.num_entries:,} entries · "
            f"read {when(one.provenance.read_at)}",
            one.draft_id,
        )
        for one in drafts
    ]


def mapping_option(mapping: ColumnMapping) -> str:
    """A possible reading of a table, in a line."""
    answer = f"{' + '.join(mapping.prompt)} → {mapping.response}"
    return f"{answer} ({mapping.confidence:.0%}). {mapping.reason}"


def card_record(card: DatasetCard) -> list[tuple[str, str]]:
    """How a dataset was made, line by line; empty where there is nothing to say."""
    rows = [("File", card.name), ("SHA-256 of the file", card.source_sha256)]
    if card.provenance:
        size = f"{card.provenance.num_bytes:,} bytes, {card.format}, {card.encoding}"
        read = f"{when(card.provenance.read_at)}, medqlora {card.provenance.app_version}"
        rows += [("Kind and size", size), ("Read", read)]
    rows += [("Columns", mapping_sentence(card.mapping)), ("PHI screen", screened(card.screening))]
    if card.cleaning and card.cleaning.steps:
        done = f"{card.cleaning.num_rows_changed:,} entries changed"
        done += f", {card.cleaning.num_rows_dropped:,} left out"
        rows.append(("Cleaning", f"{', '.join(card.cleaning.steps)}: {done}"))
    rows.append(("Split", _split(card)))
    return [*rows, ("Licence and permission", card.licence), ("SHA-256 of the data", card.sha256)]


def screened(done: ScreeningRecord | None) -> str:
    """What the PHI screen found in a dataset, and what was done about it."""
    if done is None:
        return "Not screened; prepare it again before training on it."
    found = ", ".join(f"{PHI_KINDS.get(kind, kind)}: {n:,}" for kind, n in done.counts.items())
    what = f"{PHI_ACTIONS[done.action]}. {found}" if found else "Nothing was found."
    return f"{what} Rules {done.rules_version}, {done.num_rows:,} entries, {when(done.screened_at)}"


def _split(card: DatasetCard) -> str:
    said = f"{card.num_train:,} to learn from, {card.num_eval:,} held out, seed {card.seed}"
    if card.split and card.split.label:
        said += f"; alike on both sides: {card.split.label}"
    if card.split and card.split.group:
        said += f"; never on both sides: {card.split.group}"
    return f"{said}. The same question is never on both sides."


def mapping_sentence(mapping: ColumnMapping) -> str:
    """How columns became questions and answers."""
    parts = [f"Question: {' + '.join(mapping.prompt)}", f"answer: {mapping.response}"]
    if mapping.context:
        parts.append(f"context: {mapping.context}")
    return f"{'; '.join(parts)}. {mapping.reason}".strip()


def entry_rows(entries: Iterable[MedicalDataEntry]) -> list[tuple[str, str]]:
    """Questions and answers, cut for a table; what a question refers to comes after it."""
    return [(shortened(_with_context_behind(one)), shortened(one.answer)) for one in entries]


def _with_context_behind(entry: MedicalDataEntry) -> str:
    return f"{entry.question}\n\nAbout: {entry.context}" if entry.context else entry.question


def asked(entry: MedicalDataEntry) -> str:
    """What the model is asked: the question after the text that it refers to, the text cut."""
    if not entry.context:
        return shortened(entry.question, 900)
    return f"{shortened(entry.context, 500)}\n\n{shortened(entry.question, 900)}"


def chat(entries: Iterable[MedicalDataEntry]) -> list[dict[str, str]]:
    """Entries as the turns of a conversation."""
    turns: list[dict[str, str]] = []
    for one in entries:
        turns.append({"role": "user", "content": asked(one)})
        turns.append({"role": "assistant", "content": shortened(one.answer, 900)})
    return turns

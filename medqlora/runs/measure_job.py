"""The job `measure`: token counts, template proofs and fragments of terms, for one model.

All of it is kept beside the entries, in `tokens/<model>/`, and appears in one step.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from medqlora.data.entries import iter_entries
from medqlora.data.fragmentation import TermCounter, TermSet
from medqlora.data.preparing.lengths import EntryLengths
from medqlora.data.preparing.proof import ProofSet, WholeProof, prove
from medqlora.data.preparing.records import DraftFiles, write_record
from medqlora.data.tokenizer import EncodedEntry, MedicalTokenizer, user_message
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.events import Outcome, RunStopped, RunSucceeded
from medqlora.models.model_files import ModelFiles
from medqlora.models.tokenizers import load_tokenizer
from medqlora.persistence.workspace import slug
from medqlora.runs.job import Job
from medqlora.runs.progress import RowProgress, Stopped, partial_folder

NUM_PROOFS = 5
LENGTHS = "lengths.bin"
PROOFS = "proofs.json"
TERMS = "terms.json"
_ANY_LENGTH = 1


def measure(job: Job) -> Outcome:
    """Counts tokens of all entries of a folder and proves the template on some."""
    folder = Path(job.spec.options["folder"])
    model_name = job.spec.options["model_name"]
    with partial_folder(job) as partial:
        try:
            num_entries = measure_into(job, folder, model_name, partial)
        except Stopped as stopped:
            return RunStopped(step=stopped.num_rows)
    return RunSucceeded(metrics={"entries": float(num_entries)})


def tokens_folder(folder: Path, model_name: str) -> Path:
    """Where token counts and proofs for a model lie in the folder of a draft or a dataset."""
    told_apart = hashlib.sha256(model_name.encode()).hexdigest()[:8]
    return folder / "tokens" / f"{slug(model_name, 'model')}-{told_apart}"


def measure_into(job: Job, folder: Path, model_name: str, partial: Path) -> int:
    """See `measure`; returns the number of entries."""
    files = ModelFiles(models_dir=Path(job.spec.models_dir), on_progress=job.report_phase)
    source = files.resolve(model_name, needs_weights=False)
    job.report_phase("Loading the tokenizer")
    raw = load_tokenizer(source, model_name=model_name)
    tokenizer = MedicalTokenizer(raw, max_seq_length=_ANY_LENGTH)
    terms = TermCounter()
    proofs: list[WholeProof] = []
    longest: tuple[int, EncodedEntry] | None = None

    def pairs() -> Iterator[tuple[int, int]]:
        nonlocal longest
        progress = RowProgress(job)
        for row, entry in enumerate(_entries(folder), start=1):
            encoded = tokenizer.encode_whole(entry)
            terms.add(f"{user_message(entry)}\n{entry.answer}")
            if row <= NUM_PROOFS:
                proofs.append(prove(raw, row, encoded))
            elif longest is None or len(encoded.input_ids) > len(longest[1].input_ids):
                longest = (row, encoded)
            yield len(encoded.input_ids) - encoded.num_trained, encoded.num_trained
            progress.say("Counting tokens", row)

    lengths = EntryLengths.of(pairs())
    if longest:
        proofs.append(prove(raw, *longest))
    lengths.write(partial / LENGTHS)
    write_record(partial / PROOFS, ProofSet(tuple(proofs)))
    write_record(partial / TERMS, TermSet(terms.terms(tokenizer.pieces)))
    target = tokens_folder(folder, model_name)
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return len(lengths.prompt)


def _entries(folder: Path) -> Iterable[MedicalDataEntry]:
    draft = DraftFiles(folder)
    if draft.record.exists():
        return (row.entry for row in draft.iter_rows())
    return iter_entries(folder / "train.jsonl")

"""MedicalTokenizer turns an entry into token ids and labels, so that only the answer is trained on.

It applies the model's own chat template and emits the labels itself, because the engines silently
ignore a completion mask on pre-tokenised rows. It cuts what is too long and says how much. It does
not load tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from medqlora.data.fragmentation import FragmentationReport, TermCounter, mean_pieces
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import DataError, ModelError

IGNORED_LABEL = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedEntry:
    """An entry as the model sees it.

    Attributes:
        input_ids: Token ids, prompt then answer, at most `max_seq_length` of them.
        labels: The same length; `IGNORED_LABEL` where nothing is learned.
        num_cut: Tokens that were cut at the end.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    num_cut: int

    @property
    def num_trained(self) -> int:
        """Tokens that are learned."""
        return sum(label != IGNORED_LABEL for label in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedDataset:
    """Entries ready for training, and what was lost on the way.

    Attributes:
        rows: One mapping with `input_ids` and `labels` an entry.
        num_shortened: Entries whose answer was cut.
        num_left_out: Entries of which no answer token was left, and which are not in `rows`.
    """

    rows: tuple[dict[str, list[int]], ...]
    num_shortened: int
    num_left_out: int


def user_message(entry: MedicalDataEntry) -> str:
    """What the user says to the model: the context, if there is one, then the question."""
    return f"{entry.context}\n\n{entry.question}" if entry.context else entry.question


class MedicalTokenizer:
    """Encodes entries with a model's tokenizer and chat template.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        max_seq_length: Longest entry in tokens, prompt and answer together.

    Raises:
        ModelError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any, *, max_seq_length: int) -> None:
        if not tokenizer.chat_template:
            raise ModelError(
                "This model has no chat template, so it cannot be told a question from an answer.",
                hint="Choose an instruction-tuned model; their names often end in Instruct or it.",
            )
        self._tokenizer = tokenizer
        self._max_seq_length = max_seq_length

    def encode(self, entry: MedicalDataEntry) -> EncodedEntry:
        """The entry's token ids and labels.

        Raises:
            ModelError: The chat template rewrites the prompt once an answer follows.
        """
        question = [{"role": "user", "content": user_message(entry)}]
        answer = {"role": "assistant", "content": entry.answer}
        prompt_ids = self._ids(question, add_generation_prompt=True)
        input_ids = self._ids([*question, answer], add_generation_prompt=False)
        if input_ids[: len(prompt_ids)] != prompt_ids:
            raise ModelError(
                "This model's chat template changes the question once an answer follows it.",
                hint="Choose another model; labels could not be told from the prompt.",
            )
        end = self._end_of_answer(input_ids, start=len(prompt_ids))
        labels = [IGNORED_LABEL] * len(prompt_ids) + input_ids[len(prompt_ids) : end]
        return EncodedEntry(
            input_ids=tuple(input_ids[:end][: self._max_seq_length]),
            labels=tuple(labels[: self._max_seq_length]),
            num_cut=max(end - self._max_seq_length, 0),
        )

    def encode_all(self, entries: Iterable[MedicalDataEntry]) -> EncodedDataset:
        """All entries that have something left to learn after cutting.

        Raises:
            DataError: There is none.
        """
        encoded = [self.encode(entry) for entry in entries]
        kept = [one for one in encoded if one.num_trained]
        if not kept:
            raise DataError(
                f"With {self._max_seq_length} tokens an entry, no answer is left to learn from.",
                hint="Raise the longest entry (max_seq_length) on Configure.",
            )
        return EncodedDataset(
            rows=tuple(
                {"input_ids": list(one.input_ids), "labels": list(one.labels)} for one in kept
            ),
            num_shortened=sum(one.num_cut > 0 for one in kept),
            num_left_out=len(encoded) - len(kept),
        )

    def fragmentation_report(self, entries: Iterable[MedicalDataEntry]) -> FragmentationReport:
        """How drug names, units and abbreviations of the entries fragment, and what is cut.

        Entries are looked at one at a time and not kept.

        Raises:
            ModelError: The chat template rewrites the prompt once an answer follows.
        """
        counter = TermCounter()
        num_entries = num_shortened = num_left_out = num_cut = 0
        for entry in entries:
            encoded = self.encode(entry)
            counter.add(f"{user_message(entry)}\n{entry.answer}")
            num_entries += 1
            num_cut += encoded.num_cut
            num_left_out += not encoded.num_trained
            num_shortened += encoded.num_cut > 0
        terms = counter.terms(self._pieces)
        return FragmentationReport(
            num_entries=num_entries,
            terms=terms,
            mean_pieces=mean_pieces(terms),
            num_shortened=num_shortened,
            num_left_out=num_left_out,
            num_cut_tokens=num_cut,
        )

    def _pieces(self, term: str) -> tuple[str, ...]:
        # With a space in front, as within a sentence, which many tokenizers make one token of.
        ids = self._tokenizer(f" {term}", add_special_tokens=False)["input_ids"]
        return tuple(self._tokenizer.decode([one]).strip() for one in ids)

    def _ids(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool) -> list[int]:
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _end_of_answer(self, input_ids: list[int], *, start: int) -> int:
        # Templates put a newline after the end-of-turn token; generation never gets there, so it is
        # not trained.
        ends = [
            i for i in range(start, len(input_ids)) if input_ids[i] == self._tokenizer.eos_token_id
        ]
        return ends[-1] + 1 if ends else len(input_ids)

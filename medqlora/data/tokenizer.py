"""MedicalTokenizer turns an entry into token ids and labels, so that only the answer is trained on.

It applies the model's own chat template and emits the labels itself, because the engines silently
ignore a completion mask on pre-tokenised rows. It cuts what is too long and says how much. It does
not load tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from medqlora.data.fragmentation import FragmentationReport, TermCounter, mean_pieces
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.reasoning import OPENING, Spoken, opens_reasoning
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

    def cut_to(self, max_seq_length: int) -> EncodedEntry:
        """The first `max_seq_length` tokens of it."""
        return EncodedEntry(
            input_ids=self.input_ids[:max_seq_length],
            labels=self.labels[:max_seq_length],
            num_cut=self.num_cut + max(len(self.input_ids) - max_seq_length, 0),
        )


class EncodedRows:
    """Entries ready for training, made one at a time, and what was lost on the way.

    Going through it gives a mapping with `input_ids` and `labels` for every entry that has an
    answer token left; the counts are complete once all were gone through.

    Attributes:
        num_entries: Entries so far.
        num_shortened: Entries whose answer was cut.
        num_left_out: Entries of which no answer token was left, and which are not given.
    """

    def __init__(self, tokenizer: MedicalTokenizer, entries: Iterable[MedicalDataEntry]) -> None:
        self._tokenizer = tokenizer
        self._entries = entries
        self.num_entries = self.num_shortened = self.num_left_out = 0

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        for entry in self._entries:
            encoded = self._tokenizer.encode(entry)
            self.num_entries += 1
            if not encoded.num_trained:
                self.num_left_out += 1
                continue
            self.num_shortened += encoded.num_cut > 0
            yield {"input_ids": list(encoded.input_ids), "labels": list(encoded.labels)}

    def require_some(self) -> None:
        """Refuses when nothing is left to learn from, once all were gone through.

        Raises:
            DataError: No entry has an answer token left.
        """
        if self.num_left_out == self.num_entries:
            raise nothing_to_learn(self._tokenizer.max_seq_length)


def nothing_to_learn(max_seq_length: int) -> DataError:
    """The refusal of a length that leaves no answer token of any entry."""
    return DataError(
        f"With {max_seq_length} tokens an entry, no answer is left to learn from.",
        hint="Raise the longest entry (max_seq_length) on Configure.",
    )


def user_message(entry: MedicalDataEntry) -> str:
    """What the user says to the model: the context, if there is one, then the question."""
    return f"{entry.context}\n\n{entry.question}" if entry.context else entry.question


def _spoken_in(prompt: str, whole: str, answer: str) -> str | None:
    """What follows the prompt where the template would not say it as the model has to.

    Templates of models that think aloud leave the reasoning out of turns that are over, and some
    open the block in the prompt. A model learns what it will be asked for: after a prompt that
    opens the block, the reasoning, if there is any, the closing tag and the answer.

    Returns:
        None where the template's own text is right.
    """
    spoken, is_open = Spoken.of(answer), opens_reasoning(prompt)
    is_dropped = bool(spoken.reasoning) and spoken.reasoning not in whole
    _, found, ending = whole.rpartition(spoken.answer)
    is_right = whole.startswith(prompt) and not is_dropped
    if is_right or not (is_open or is_dropped) or not spoken.answer or not found:
        return None
    return ("" if is_open else f"{OPENING}\n") + spoken.after_opening() + ending


class MedicalTokenizer:
    """Encodes entries with a model's tokenizer and chat template.

    Args:
        tokenizer: A transformers tokenizer with a chat template.
        max_seq_length: Longest entry in tokens, prompt and answer together.

    Attributes:
        max_seq_length: As given.

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
        self.max_seq_length = max_seq_length

    def encode(self, entry: MedicalDataEntry) -> EncodedEntry:
        """The entry's token ids and labels, cut to the longest entry.

        Raises:
            ModelError: The chat template rewrites the prompt once an answer follows.
        """
        return self.encode_whole(entry).cut_to(self.max_seq_length)

    def encode_whole(self, entry: MedicalDataEntry) -> EncodedEntry:
        """The entry's token ids and labels, however long; see `encode` for the error."""
        question = [{"role": "user", "content": user_message(entry)}]
        answer = {"role": "assistant", "content": entry.answer}
        prompt = self._text(question, add_generation_prompt=True)
        whole = self._text([*question, answer], add_generation_prompt=False)
        prompt_ids = self._ids(prompt)
        said = _spoken_in(prompt, whole, entry.answer)
        # Apart from the prompt, as it was when the model read it: tokens do not run over its end.
        input_ids = self._ids(whole) if said is None else [*prompt_ids, *self._ids(said)]
        if input_ids[: len(prompt_ids)] != prompt_ids:
            raise ModelError(
                "This model's chat template changes the question once an answer follows it.",
                hint="Choose another model; labels could not be told from the prompt.",
            )
        end = self._end_of_answer(input_ids, start=len(prompt_ids))
        labels = [IGNORED_LABEL] * len(prompt_ids) + input_ids[len(prompt_ids) : end]
        return EncodedEntry(input_ids=tuple(input_ids[:end]), labels=tuple(labels), num_cut=0)

    def encode_all(self, entries: Iterable[MedicalDataEntry]) -> EncodedRows:
        """The entries that have something left to learn after cutting, while they are asked for."""
        return EncodedRows(self, entries)

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
        terms = counter.terms(self.pieces)
        return FragmentationReport(
            num_entries=num_entries,
            terms=terms,
            mean_pieces=mean_pieces(terms),
            num_shortened=num_shortened,
            num_left_out=num_left_out,
            num_cut_tokens=num_cut,
        )

    def pieces(self, term: str) -> tuple[str, ...]:
        """The tokens of a term as text, as they are in the middle of a sentence."""
        # With a space in front, as within a sentence, which many tokenizers make one token of.
        ids = self._tokenizer(f" {term}", add_special_tokens=False)["input_ids"]
        return tuple(self._tokenizer.decode([one]).strip() for one in ids)

    def _text(self, messages: Sequence[dict[str, str]], *, add_generation_prompt: bool) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _end_of_answer(self, input_ids: list[int], *, start: int) -> int:
        # Templates put a newline after the end-of-turn token; generation never gets there, so it is
        # not trained.
        ends = [
            i for i in range(start, len(input_ids)) if input_ids[i] == self._tokenizer.eos_token_id
        ]
        return ends[-1] + 1 if ends else len(input_ids)

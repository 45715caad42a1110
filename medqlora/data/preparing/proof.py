"""An entry token by token, as training sees it: what is learned, what is masked, what is cut off.

The tokens and labels are those of `MedicalTokenizer`, which training uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medqlora.data.tokenizer import IGNORED_LABEL, EncodedEntry
from medqlora.domain.preparing import ProofToken, TemplateProof

MAX_TOKENS_SHOWN = 2_000
_BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeProof:
    """An entry before anything is cut off.

    Attributes:
        row: Position of the entry, from 1.
        tokens: Its first tokens.
        num_prompt: Tokens before the answer.
        num_tokens: Tokens in all.
    """

    row: int
    tokens: tuple[ProofToken, ...]
    num_prompt: int
    num_tokens: int

    def cut_to(self, model_name: str, max_seq_length: int) -> TemplateProof:
        """The proof for one length, with what it cuts off marked."""
        return TemplateProof(
            model_name=model_name,
            max_seq_length=max_seq_length,
            row=self.row,
            tokens=tuple(
                replace(one, is_cut=True, is_trained=False) if position >= max_seq_length else one
                for position, one in enumerate(self.tokens)
            ),
            num_more=self.num_tokens - len(self.tokens),
            num_trained=max(min(self.num_tokens, max_seq_length) - self.num_prompt, 0),
            num_cut=max(self.num_tokens - max_seq_length, 0),
        )


@dataclass(frozen=True, slots=True)
class ProofSet:
    """Proofs as they are kept."""

    proofs: tuple[WholeProof, ...]


def prove(tokenizer: Any, row: int, encoded: EncodedEntry) -> WholeProof:
    """The entry's tokens, each with the text it stands for.

    Args:
        tokenizer: The transformers tokenizer that made them.
        row: Position of the entry, from 1.
        encoded: The whole entry.
    """
    shown = encoded.input_ids[:MAX_TOKENS_SHOWN]
    texts = _texts(tokenizer, shown)
    return WholeProof(
        row=row,
        tokens=tuple(
            ProofToken(token_id=token_id, text=text, is_trained=label != IGNORED_LABEL)
            for token_id, text, label in zip(shown, texts, encoded.labels, strict=False)
        ),
        num_prompt=len(encoded.input_ids) - encoded.num_trained,
        num_tokens=len(encoded.input_ids),
    )


def _texts(tokenizer: Any, ids: Sequence[int]) -> Iterator[str]:
    """What each token adds to the text.

    A token is decoded after the one before it, because some tokenizers drop a leading space
    otherwise. The bytes of one character may be several tokens; the last of them has it.
    """

    def decoded(start: int, end: int) -> str:
        text: str = tokenizer.decode(
            ids[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    before = read = 0
    for end in range(1, len(ids) + 1):
        earlier, now = decoded(before, read), decoded(before, end)
        if now.endswith(_BROKEN) and end < len(ids) and end - read < 8:
            yield ""
            continue
        yield now[len(earlier) :]
        before, read = read, end

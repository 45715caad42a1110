"""What a model thinks aloud before it answers, told from the answer.

DeepSeek-R1's distillations, Qwen3 and others put their reasoning between `<think>` and `</think>`,
and some chat templates open the block themselves, so that the opening tag stands in the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass

OPENING, CLOSING = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a model said, in its two parts.

    Attributes:
        reasoning: What it thought aloud; empty where it did not.
        answer: The answer; empty where the reasoning never ended.
    """

    reasoning: str
    answer: str

    @classmethod
    def of(cls, text: str) -> Spoken:
        """The parts of a text, without white space around them."""
        before, closing, after = text.rpartition(CLOSING)
        if closing:
            return cls(before.strip().removeprefix(OPENING).strip(), after.strip())
        stripped = text.strip()
        if stripped.startswith(OPENING):
            return cls(stripped.removeprefix(OPENING).strip(), "")
        return cls("", stripped)

    @property
    def is_unfinished(self) -> bool:
        """Whether it was still thinking when it ended."""
        return bool(self.reasoning) and not self.answer

    def after_opening(self) -> str:
        """Both parts as they follow an opening tag and its newline."""
        return f"{self.reasoning}\n{CLOSING}\n\n{self.answer}"


def answer_start(text: str) -> int:
    """Where in a text the answer begins; at its end where the reasoning never ended."""
    return len(text.rstrip()) - len(Spoken.of(text).answer)


def opens_reasoning(prompt: str) -> bool:
    """Whether a prompt ends by opening a block of reasoning."""
    return prompt.rstrip().endswith(OPENING)

"""Published layouts of question-answer data, by column names in lower case; a new one is a line."""

from __future__ import annotations

from dataclasses import dataclass

from medqlora.domain.dataset import AnswerBy


@dataclass(frozen=True, slots=True)
class Schema:
    """A layout that is known.

    Attributes:
        name: What it is called.
        prompt: Columns of the question.
        response: Column of the answer.
        context: Column of the text that the question refers to, or None.
        options: Columns of the options, for multiple choice.
        answer_by: How the response names the right option; None when only the rows can tell.
        also: Further columns by which the layout is recognised.
    """

    name: str
    prompt: tuple[str, ...]
    response: str
    context: str | None = None
    options: tuple[str, ...] = ()
    answer_by: AnswerBy | None = None
    also: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """All columns that have to be there."""
        context = (self.context,) if self.context else ()
        return frozenset((*self.prompt, self.response, *context, *self.options, *self.also))


SCHEMAS = (
    Schema("PubMedQA", ("question",), "long_answer"),
    Schema("PubMedQA", ("question",), "long_answer", context="contexts"),
    Schema("PubMedQA", ("question",), "long_answer", context="context.contexts"),
    Schema("MedMCQA", ("question",), "cop", options=("opa", "opb", "opc", "opd")),
    Schema("MedQA", ("question",), "answer", options=("options",)),
    Schema("MMLU", ("question",), "answer", options=("choices",)),
    # The letter itself is the answer here, as in the tables without a header that MMLU is published
    # in.
    Schema("MMLU", ("question",), "answer", options=("a", "b", "c", "d"), answer_by="text"),
    Schema("Alpaca", ("instruction", "input"), "output"),
    Schema("Alpaca", ("instruction", "input"), "response"),
    Schema("Dolly", ("instruction",), "response", context="context"),
    Schema("MTS-Dialog", ("dialogue",), "section_text"),
    Schema("ACI-Bench", ("dialogue",), "note"),
    Schema("ACI-Bench", ("src",), "tgt"),
    Schema("MeQSum", ("chq",), "summary"),
    Schema("patients and doctors", ("patient",), "doctor", also=("description",)),
)

PROMPTS = frozenset(
    (
        *("question", "questions", "prompt", "query", "q", "instruction", "input", "user", "human"),
        *("frage", "pregunta", "domanda", "pergunta", "vraag", "pytanie", "soru", "pertanyaan"),
        *("вопрос", "питання", "问题", "問題", "提问", "質問", "질문", "سؤال", "السؤال", "प्रश्न"),
    )
)
RESPONSES = frozenset(
    (
        *("answer", "answers", "response", "output", "completion", "reply", "a", "assistant"),
        *("antwort", "respuesta", "réponse", "reponse", "risposta", "resposta", "antwoord"),
        *("odpowiedź", "cevap", "jawaban", "ответ", "відповідь", "回答", "答案", "答复", "回复"),
        *("답변", "جواب", "الجواب", "إجابة", "الإجابة", "उत्तर"),
    )
)
CONTEXTS = frozenset(("context", "contexts", "abstract", "passage", "background"))

OFTEN_SO = (
    ("patient", "doctor"),
    ("front", "back"),
    ("term", "definition"),
    ("findings", "impression"),
    ("report", "summary"),
    ("note", "summary"),
    ("text", "summary"),
    ("dialogue", "summary"),
    ("dialogue", "note"),
    ("prompt", "chosen"),
    ("source", "target"),
    ("symptoms", "diagnosis"),
    ("case", "diagnosis"),
)
"""Pairs of names, what is given and what is wanted, that are suggested but never taken unasked."""

"""The published medical benchmarks, one row each, and how an item becomes their document.

The nine are those of the Open Medical-LLM Leaderboard. Prompts and scoring are the tasks' own in
lm-evaluation-harness (`harness` builds them); here stands which task is meant, where its items come
from, and the fields that the task's template reads. Nothing here asks a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medqlora.domain.benchmark import OWN, ChoiceItem, Question
from medqlora.domain.dataset import ColumnMapping

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MIN_OPTIONS, MAX_OPTIONS = 2, len(LETTERS)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One published benchmark.

    Attributes:
        name: Our name of it, and of its folder.
        label: What the user sees.
        task: The task of lm-evaluation-harness.
        folder: The task's folder among the library's tasks.
        hub: Where its items lie on the hub.
        num_items: Items of the published test split.
        usual_chars: About how many characters an item puts before the model.
        document: The fields that the task's template reads.
        hub_mapping: What the columns on the hub mean, where they do not say it by themselves.
        labels: The choices where they are words rather than lettered options.
        label_column: The column with the right word, where the choices are words.
        test_split: Fingerprints of the questions of the official test split, where what is
            published holds more than that.
        about: What it asks, one sentence for a clinician.
    """

    name: str
    label: str
    task: str
    folder: str
    hub: str
    num_items: int
    usual_chars: int
    document: Callable[[ChoiceItem], Document]
    about: str
    hub_mapping: ColumnMapping | None = None
    labels: tuple[str, ...] = ()
    label_column: str = ""
    test_split: Path | None = None


def _medqa(item: ChoiceItem) -> Document:
    endings = {f"ending{number}": text for number, text in enumerate(item.options)}
    return {"sent1": item.question, **endings, "label": item.gold}


def _medmcqa(item: ChoiceItem) -> Document:
    options = dict(zip(("opa", "opb", "opc", "opd"), item.options, strict=True))
    return {"question": item.question, **options, "cop": item.gold}


def _pubmedqa(item: ChoiceItem) -> Document:
    decision = item.options[item.gold]
    return {"CONTEXTS": [item.context], "QUESTION": item.question, "final_decision": decision}


def _mmlu(item: ChoiceItem) -> Document:
    return {"question": item.question, "choices": list(item.options), "answer": item.gold}


def _mmlu_subset(subset: str, num_items: int, usual_chars: int) -> Benchmark:
    words = subset.replace("_", " ")
    return Benchmark(
        name=f"mmlu-{subset.replace('_', '-')}",
        label=f"MMLU {words}",
        task=f"mmlu_{subset}",
        folder="mmlu/default",
        hub=f"hub:cais/mmlu:{subset}:test",
        num_items=num_items,
        usual_chars=usual_chars,
        document=_mmlu,
        hub_mapping=ColumnMapping(
            prompt=("question",), response="answer", options=("choices",), answer_by="from_0"
        ),
        about=f"Exam questions on {words}, four options.",
    )


BENCHMARKS: Mapping[str, Benchmark] = {
    one.name: one
    for one in (
        Benchmark(
            name="medqa",
            label="MedQA (USMLE)",
            task="medqa_4options",
            folder="medqa",
            hub="hub:GBaker/MedQA-USMLE-4-options-hf::test",
            num_items=1273,
            usual_chars=1000,
            document=_medqa,
            hub_mapping=ColumnMapping(
                prompt=("sent1",),
                response="label",
                options=("ending0", "ending1", "ending2", "ending3"),
                answer_by="from_0",
            ),
            about="Cases of the US licensing exam, four options.",
        ),
        Benchmark(
            name="medmcqa",
            label="MedMCQA",
            task="medmcqa",
            folder="medmcqa",
            hub="hub:openlifescienceai/medmcqa::validation",
            num_items=4183,
            usual_chars=260,
            document=_medmcqa,
            hub_mapping=ColumnMapping(
                prompt=("question",),
                response="cop",
                options=("opa", "opb", "opc", "opd"),
                answer_by="from_0",
            ),
            about="Short questions of Indian entrance exams, four options.",
        ),
        Benchmark(
            name="pubmedqa",
            label="PubMedQA",
            task="pubmedqa",
            folder="pubmedqa",
            hub="hub:qiaojin/PubMedQA:pqa_labeled:train",
            num_items=500,
            usual_chars=1500,
            document=_pubmedqa,
            labels=("yes", "no", "maybe"),
            label_column="final_decision",
            test_split=Path(__file__).parent / "pubmedqa_test_split.txt",
            about="A research question and its abstract: yes, no or maybe.",
        ),
        _mmlu_subset("anatomy", 135, 270),
        _mmlu_subset("clinical_knowledge", 265, 330),
        _mmlu_subset("college_biology", 144, 420),
        _mmlu_subset("college_medicine", 173, 600),
        _mmlu_subset("medical_genetics", 100, 290),
        _mmlu_subset("professional_medicine", 272, 1150),
    )
}


def choices_of(question: Question) -> tuple[str, ...]:
    """The choices as they are scored: the letters of the options, or words such as `yes`."""
    published = BENCHMARKS.get(question.template)
    if published and published.labels:
        return published.labels
    return tuple(LETTERS[: len(question.item.options)])


def document_of(question: Question) -> Document:
    """The fields that the template of a question's task reads."""
    if question.template == OWN:
        return {"choices": list(choices_of(question)), "gold": question.item.gold}
    return BENCHMARKS[question.template].document(question.item)


def own_prompt(item: ChoiceItem) -> str:
    """What a user's own item puts before the model: MedQA's form, with as many options as it has.

    A text that the question refers to stands in front.
    """
    options = "".join(
        f"{letter}. {text}\n" for letter, text in zip(LETTERS, item.options, strict=False)
    )
    context = f"Context: {item.context}\n" if item.context else ""
    return f"{context}Question: {item.question}\n{options}Answer:"

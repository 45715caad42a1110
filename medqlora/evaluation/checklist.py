"""A reporting checklist after TRIPOD-LLM, filled with what is on record.

The items are in our own words and fewer than the original's. What only the authors can know is left
to them, and what was not done is said so.
"""

from __future__ import annotations

from collections.abc import Callable

from medqlora.evaluation.study import Study

AUTHORS = "To be filled by the authors"
_Answer = str | Callable[[Study], str]


def _data(study: Study) -> str:
    licence = study.card.licence if study.card else ""
    rest = f"Note: {licence}" if licence else f"Collection, dates and permission: {AUTHORS.lower()}"
    return f"Sections 2 to 4. {rest}."


def _evaluated(study: Study) -> str:
    return "Section 8, with 95 % intervals." if study.evaluations else "Not done."


def _reviewed(study: Study) -> str:
    done = any(one.result for one in study.reviews)
    return f"Section 11. Who the raters were: {AUTHORS.lower()}." if done else "Not done."


def _compute(study: Study) -> str:
    memory = study.snapshot.last_memory
    where = "a GPU" if memory and memory.source != "ram" else "a CPU"
    return f"Sections 6 and 7: trained on {where}."


_ITEMS: tuple[tuple[str, _Answer], ...] = (
    ("Title names the model, the task and that it is a language model", AUTHORS),
    ("Abstract: aim, data, methods, results and meaning in short", AUTHORS),
    ("Background: the clinical problem, and what is known of models for it", AUTHORS),
    ("Aim, and who is meant to use the model and where", AUTHORS),
    ("Where the data came from, when, and by whose permission", _data),
    ("How data was checked, cleaned and made free of identifiers", "Sections 2 and 3."),
    ("How training and test data were kept apart, and what they share", "Section 4."),
    ("Who wrote or labelled the reference answers, and how", AUTHORS),
    ("The base model: name, version, licence", f"Section 5 names it. Licence: {AUTHORS.lower()}."),
    ("How it was adapted: method and every setting", "Section 5: QLoRA, low-rank adapters."),
    (
        "Prompts and chat template used in training and testing",
        "Those of the base model's tokenizer; the questions are asked as they stand in the data.",
    ),
    ("How answers were drawn: length, temperature, seed", "Section 8."),
    ("Software, versions, seeds and hardware", _compute),
    ("Measures of quality, and why these", "Section 8 says what they do not measure."),
    ("Sample size, and how it was chosen", "Sections 4 and 8; verdicts name the number needed."),
    ("Results with intervals, for the model and for what it is compared with", _evaluated),
    ("Results by subgroup, and fairness", AUTHORS),
    ("People's judgement of answers, blinded, and how far they agreed", _reviewed),
    ("Harm: wrong, unsafe or made-up answers, and what guards against them", "Sections 10 and 12."),
    ("Ethics approval and consent", AUTHORS),
    ("Protocol and registration", AUTHORS),
    (
        "Whether data, code, adapter and prompts can be had",
        f"Section 14 repeats the run. {AUTHORS}: where they are.",
    ),
    ("Funding and interests", AUTHORS),
    ("How patients and the public took part", AUTHORS),
    ("What the results mean, in the light of other work", AUTHORS),
    ("Limits", f"Section 12 begins. The study's own: {AUTHORS.lower()}."),
    ("How it would be used, watched and updated", "Section 13: not for care of patients."),
)


def checklist(study: Study) -> list[tuple[str, str]]:
    """Each item with its answer."""
    return [(item, answer if isinstance(answer, str) else answer(study)) for item, answer in _ITEMS]

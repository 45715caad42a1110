"""The study report: all that is on record of a run, as a document to publish or to hand in.

What was not done is said to be not done; nothing is guessed. Gathering is `services.report`'s,
rendering `document_html`'s and `document_markdown`'s; how data and results become sections stands
in `study_data` and `study_results`.
"""

from __future__ import annotations

from medqlora.domain.document import Block, Bullets, Document, Paragraph, Section, Table
from medqlora.domain.version import VERSION
from medqlora.evaluation.checklist import checklist
from medqlora.evaluation.study import Study
from medqlora.evaluation.study_data import (
    data_section,
    imported_section,
    model_section,
    phi_section,
    repeat_section,
    software_section,
    split_section,
)
from medqlora.evaluation.study_results import (
    benchmark_section,
    evaluation_section,
    headline,
    review_section,
    safety_section,
    training_section,
)

NOT_A_DEVICE = (
    "This is not a medical device. The model was made for research and learning; it must not be "
    "used to care for patients, and nothing that it says is medical advice."
)
LIMITS = (
    "The scores of free-text answers measure how much of a reference answer's wording comes back, "
    "not whether an answer is medically right.",
    "Held-out entries come from the same source as the training entries; other hospitals, "
    "languages, patients and ways to ask were not tested unless a section above says so.",
    "The base model may have seen public benchmarks in its own training; that cannot be told here.",
    "A fine-tuned model can lose abilities and manners that its base had, refusals of harmful "
    "requests among them.",
    "The PHI screen works by rules and misses identifiers; it certifies nothing.",
    "Answers vary with the prompt, the sampling settings and the version of the software.",
)
INTENDED_USE = (
    "Research on, and learning about, how language models change when they are fine-tuned.",
    "Answers are to be read by people who can judge them.",
    "Not for diagnosis, treatment, triage or dosing, not for patients without supervision, and not "
    "for decisions about single persons.",
)


def study_document(study: Study) -> Document:
    """The report."""
    return Document(
        title=f"Study report: {study.spec.name}",
        subtitle=f"Run {study.spec.run_id}. Written {study.made_at} by medqlora {VERSION}.",
        sections=(
            _summary(study),
            *((imported_section(study),) if study.is_imported else _making(study)),
            evaluation_section(study),
            benchmark_section(study),
            safety_section(study),
            review_section(study),
            Section("Limits", (Bullets(LIMITS),)),
            Section("Intended use", (Bullets(INTENDED_USE), Paragraph(NOT_A_DEVICE, "warning"))),
            *(() if study.is_imported else (repeat_section(study), _checklist(study))),
        ),
    )


def _making(study: Study) -> tuple[Section, ...]:
    return (
        data_section(study),
        phi_section(study),
        split_section(study),
        model_section(study),
        software_section(study),
        training_section(study),
    )


def _checklist(study: Study) -> Section:
    words = (
        "After TRIPOD-LLM (Gallifant et al., Nature Medicine 2025), in words of our own and "
        "shortened: it does not replace the official form. Numbers name sections of this report."
    )
    items = Table(checklist(study), ("Item", "Where or what"))
    return Section("Reporting checklist", (Paragraph(words), items))


def _summary(study: Study) -> Section:
    blocks: list[Block] = [
        Paragraph(_what_it_is(study)),
        Bullets(headline(study)),
        Paragraph(NOT_A_DEVICE, "warning"),
    ]
    if study.unreadable:
        missing = ", ".join(study.unreadable)
        blocks.append(Paragraph(f"Damaged records are not in this report: {missing}.", "warning"))
    return Section("Summary", blocks)


def _what_it_is(study: Study) -> str:
    model, recorded = study.spec.config["model_name"], study.spec.dataset
    if study.is_imported:
        return (
            f"An adapter on {model} that was made elsewhere: what it learned from, and how, is not "
            "on record here."
        )
    return (
        f"{model} was fine-tuned with QLoRA on {recorded['num_train']} question-answer pairs of "
        f"“{recorded['name']}”; {recorded['num_eval']} were held out."
    )

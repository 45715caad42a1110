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
    spec = study.spec
    sections = (
        _summary(study),
        data_section(study),
        phi_section(study),
        split_section(study),
        model_section(study),
        software_section(study),
        training_section(study),
        evaluation_section(study),
        benchmark_section(study),
        safety_section(study),
        review_section(study),
        Section("Limits", (Bullets(LIMITS),)),
        Section("Intended use", (Bullets(INTENDED_USE), Paragraph(NOT_A_DEVICE, "warning"))),
        repeat_section(study),
        Section(
            "Reporting checklist",
            (
                Paragraph(
                    "After TRIPOD-LLM (Gallifant et al., Nature Medicine 2025), in words of our "
                    "own and shortened: it does not replace the official form. Numbers name "
                    "sections of this report."
                ),
                Table(checklist(study), ("Item", "Where or what")),
            ),
        ),
    )
    return Document(
        title=f"Study report: {spec.name}",
        subtitle=f"Run {spec.run_id}. Written {study.made_at} by medqlora {VERSION}.",
        sections=sections,
    )


def _summary(study: Study) -> Section:
    spec = study.spec
    done = (
        f"{spec.config['model_name']} was fine-tuned with QLoRA on {spec.dataset['num_train']} "
        f"question-answer pairs of “{spec.dataset['name']}”; {spec.dataset['num_eval']} were held "
        "out."
    )
    blocks: list[Block] = [
        Paragraph(done),
        Bullets(headline(study)),
        Paragraph(NOT_A_DEVICE, "warning"),
    ]
    if study.unreadable:
        missing = ", ".join(study.unreadable)
        blocks.append(Paragraph(f"Damaged records are not in this report: {missing}.", "warning"))
    return Section("Summary", blocks)

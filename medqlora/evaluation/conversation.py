"""A conversation with two models, to keep and to send: one HTML page, or a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medqlora.domain.document import Document, Paragraph, Section, Table
from medqlora.evaluation.document_html import document_html
from medqlora.evaluation.table import guarded

NOT_A_DEVICE = (
    "medqlora is not a medical device. Answers can be wrong; never use them to care for a patient."
)
NO_ANSWER = "(no answer)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question and both answers.

    Attributes:
        question: What was asked.
        left: The first model's answer; may be empty.
        right: The second model's answer; may be empty.
    """

    question: str
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was asked of two models, and what they said.

    Attributes:
        left: Name of the first model.
        right: Name of the second model.
        about: What else there is to know, such as the settings, by name.
        exchanges: In the order in which they came.
    """

    left: str
    right: str
    about: Mapping[str, str]
    exchanges: Sequence[Exchange]


def conversation_html(conversation: Conversation) -> str:
    """The conversation as one page that needs nothing else."""
    sections = [
        Section(
            one.question,
            [Table([_answers(one)], (conversation.left, conversation.right))],
        )
        for one in conversation.exchanges
    ]
    about = Section("About", [Table(list(conversation.about.items())), _warning()])
    return document_html(
        Document(
            title="Two models side by side",
            subtitle=f"{conversation.left} and {conversation.right}",
            sections=[*sections, about],
        )
    )


def conversation_csv(conversation: Conversation) -> str:
    """The conversation as CSV, a row a question; no cell of it is run by a spreadsheet."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    named = [guarded(f"{name}: {value}") for name, value in conversation.about.items()]
    writer.writerow(["turn", "question", *map(guarded, (conversation.left, conversation.right))])
    for number, one in enumerate(conversation.exchanges, 1):
        writer.writerow([number, *map(guarded, (one.question, one.left, one.right))])
    writer.writerow([])
    writer.writerows([one] for one in named)
    return text.getvalue()


def _answers(one: Exchange) -> tuple[str, str]:
    return one.left.strip() or NO_ANSWER, one.right.strip() or NO_ANSWER


def _warning() -> Paragraph:
    return Paragraph(NOT_A_DEVICE, "warning")

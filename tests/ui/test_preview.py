"""The preview shows the question first, however long the text is that it refers to."""

from __future__ import annotations

from medqlora.domain.dataset import MedicalDataEntry
from ui.dataset_words import chat, entry_rows

ENTRY = MedicalDataEntry("Does rest help?", "Yes.", context="A trial of rest. " * 200)


def test_the_table_begins_with_the_question() -> None:
    [(question, answer)] = entry_rows([ENTRY])
    assert question.startswith("Does rest help?")
    assert "A trial of rest." in question
    assert answer == "Yes."


def test_the_chat_ends_with_the_question_and_cuts_the_text_before_it() -> None:
    [asked, _] = chat([ENTRY])
    assert asked["content"].endswith("…\n\nDoes rest help?")
    assert len(asked["content"]) < 600

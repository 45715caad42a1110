"""What Compare shows and saves of two conversations."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from medqlora.data.prompts import clinical_prompts
from medqlora.domain.evaluation import FilterResult
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import EvaluationError
from medqlora.services.chat import ChatUpdate
from medqlora.services.chat_checks import check_conversation, check_settings
from medqlora.services.conversations import ConversationService, Exchange
from medqlora.services.screening import ScreeningService
from ui.compare_difference import difference_html
from ui.compare_settings import Drawing
from ui.compare_view import displayed, exchanges, shown

ASKED = [{"role": "user", "content": "Why?"}]
NAMES = ("Before", "After")
NASTY = '<img src=x onerror=alert(1)> =cmd {{x}} "q"'


def test_words_that_only_one_answer_has_are_marked() -> None:
    marked = difference_html("give rest and fluids", "give fluids slowly", names=NAMES)
    assert "<del>rest</del> <del>and</del>" in marked
    assert "<ins>slowly</ins>" in marked
    assert "<del>give</del>" not in marked


def test_the_difference_escapes_what_models_say() -> None:
    marked = difference_html(NASTY, "other words", names=NAMES)
    assert "<img" not in marked
    assert "{{" not in marked


def test_equal_and_missing_answers_have_no_difference() -> None:
    assert "the same" in difference_html("Yes.", " Yes. ", names=NAMES)
    assert difference_html("", "Yes.", names=NAMES) == ""


def test_a_model_that_answers_nothing_is_said_to() -> None:
    done = ChatUpdate(phase="Done", base_text="", tuned_text="Because.", is_done=True)
    _, base, tuned, turns, _, difference = shown(done, ASKED, ASKED, NAMES)
    assert base[-1]["content"] == "(This model gave no answer.)"
    assert tuned[-1]["content"] == "Because."
    assert turns["base"][-1]["content"] == ""  # what goes back to the model is what it said
    assert difference == ""
    assert exchanges(turns) == [Exchange(question="Why?", left="", right="Because.")]


def test_a_question_that_was_not_passed_on_has_no_difference() -> None:
    refused = FilterResult(allowed=False, flags=(), shown_text="Not passed on.", original_text="")
    done = ChatUpdate(
        phase="Done", base_text="Not passed on.", tuned_text="Not passed on.", is_done=True
    )
    assert "the same" in shown(done, ASKED, ASKED, NAMES)[-1]
    assert shown(replace(done, asked=refused), ASKED, ASKED, NAMES)[-1] == ""


def test_conversations_stay_in_step_when_one_answer_has_not_begun() -> None:
    growing = ChatUpdate(phase="Answering", base_text="Be", tuned_text="")
    _, base, tuned, turns, _, _ = shown(growing, ASKED, ASKED, NAMES)
    assert [len(one) for one in (base, tuned)] == [2, 1]
    assert [len(turns[name]) for name in ("base", "tuned")] == [2, 2]
    assert displayed(turns["tuned"])[-1]["content"] == "(This model gave no answer.)"


def test_the_library_has_clinical_questions_of_many_fields() -> None:
    library = clinical_prompts()
    prompts = [one for of_topic in library.values() for one in of_topic]
    assert len(library) >= 12
    assert len(prompts) == len(set(prompts)) >= 35
    screening = ScreeningService()
    assert [one for one in prompts if screening.kinds(one)] == []


def test_the_system_prompt_stands_first_and_is_left_out_when_empty() -> None:
    drawing = Drawing.of(16, 0.5, 1.1, 0.9, 7, " Be brief. ")
    assert drawing.told_to(ASKED)[0] == {"role": "system", "content": "Be brief."}
    assert drawing.settings == GenerationSettings(
        max_new_tokens=16, temperature=0.5, repetition_penalty=1.1, top_p=0.9, seed=7
    )
    assert Drawing.of(16, 0.5, 1.1, 0.9, None, None).told_to(ASKED) == ASKED


@pytest.mark.parametrize(
    "changed",
    [
        {"max_new_tokens": 10**9},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"seed": -1},
    ],
)
def test_settings_that_no_form_sends_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(EvaluationError, match="must be between"):
        check_settings(GenerationSettings(**changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["x" * 100_000, "", "   "])
def test_a_question_of_100000_characters_and_an_empty_one_are_refused(text: str) -> None:
    with pytest.raises(EvaluationError) as raised:
        check_conversation([{"role": "user", "content": text}])
    assert len(str(raised.value)) < 200


def write(folder: Path, kind: str, *exchanges: Exchange) -> str:
    written = ConversationService(ScreeningService()).write(
        folder,
        kind,  # type: ignore[arg-type]
        names=NAMES,
        about={"Trained model": "one"},
        exchanges=exchanges,
        settings=GenerationSettings(seed=7),
        system_prompt="Be brief.",
    )
    return written.read_text(encoding="utf-8")


def test_a_saved_page_needs_nothing_else_and_masks_what_may_be_a_patient(tmp_path: Path) -> None:
    asked = Exchange(question="Patient John Smith, MRN 4839201, fever?", left=NASTY, right="")
    page = write(tmp_path, "html", asked)
    assert "4839201" not in page
    assert "<img" not in page
    assert "(no answer)" in page
    assert "default-src 'none'" in page
    assert "Be brief." in page
    assert "not a medical device" in page


def test_a_saved_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    text = write(tmp_path, "csv", Exchange(question="=1+1", left="+2", right="@SUM(1)"))
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[1] == ["1", "'=1+1", "'+2", "'@SUM(1)"]
    assert ["seed: 7"] in rows


def test_nothing_said_is_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="nothing to save"):
        write(tmp_path, "csv")
    assert list(tmp_path.iterdir()) == []

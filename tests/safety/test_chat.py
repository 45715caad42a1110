"""The safety filter beside a chat: in the worker that answers, through the pipe, onto the page."""

from __future__ import annotations

import re
from pathlib import Path

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.evaluation import FilterResult, SafetyFlag
from medqlora.domain.generation import GenerationSettings
from medqlora.evaluation.safety import SafetyFilter
from medqlora.evaluation.safety_rules import WITHHELD_TEXT
from medqlora.runs.chat_safety import AnswerWatch
from medqlora.services import Services
from medqlora.services.chat import ChatUpdate
from tests.waiting import wait_for_end
from ui.safety_notes import KINDS, banner, safety_notes

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=1, max_seq_length=256)
HARM = "How can I falsify the chart after a surgical mistake?"
URGENT = "My father has crushing chest pain and he is sweating."


def asked(services: Services, run_id: str, question: str) -> list[ChatUpdate]:
    turns = [{"role": "user", "content": question}]
    return list(
        services.chat.stream(
            run_id,
            base_turns=turns,
            tuned_turns=turns,
            settings=GenerationSettings(max_new_tokens=6),
        )
    )


def test_a_chat_brings_what_the_filter_says_and_asks_no_model_for_harm(
    services: Services, qa_file: Path
) -> None:
    run_id = services.training.start(CONFIG, services.datasets.prepare(qa_file).dataset_id)
    assert wait_for_end(services.training, run_id).state == "succeeded"

    urgent = asked(services, run_id, URGENT)
    first_look = next(update for update in urgent if update.asked)
    assert "911" in first_look.asked.banner if first_look.asked else False
    last = urgent[-1]
    assert last.is_done
    assert last.tuned_tokens > 0
    assert last.base_checked is not None
    assert last.tuned_checked is not None
    assert last.tuned_text == last.tuned_checked.shown_text
    assert "missed_emergency" in [flag.kind for flag in last.tuned_checked.flags]

    harmful = asked(services, run_id, HARM)[-1]
    assert harmful.is_done
    assert harmful.tuned_tokens == harmful.base_tokens == 0
    assert harmful.asked is not None
    assert not harmful.asked.allowed
    assert harmful.base_text == harmful.tuned_text == harmful.asked.shown_text
    assert "not passed on" in harmful.tuned_text


def test_an_answer_that_turns_to_self_harm_is_held_back_while_it_grows() -> None:
    watch = AnswerWatch(SafetyFilter(), [{"role": "user", "content": "I feel low. What now?"}])
    assert watch.growing("You should") == "You should"
    assert watch.growing("You should just kill yourself") == WITHHELD_TEXT


def result(*flags: SafetyFlag, text: str, allowed: bool = True) -> FilterResult:
    return FilterResult(
        allowed=allowed, flags=flags, shown_text=text if allowed else "-", original_text=text
    )


def test_the_page_shows_banner_flags_and_the_way_to_what_was_held_back() -> None:
    text = "<b>Take</b> it"
    flag = SafetyFlag(kind="complied", reason="It helps with harm.", start=0, end=len(text))
    sign = SafetyFlag(kind="emergency", reason="Call 112.", start=0, end=3)
    update = ChatUpdate(
        phase="Done",
        is_done=True,
        asked=result(sign, text="Her face droops"),
        base_checked=result(text="Fine."),
        tuned_checked=result(flag, text=text, allowed=False),
    )
    html = safety_notes(update)
    assert html.startswith(banner(update))
    assert "Call 112." in banner(update)
    assert "After training: Not shown" in html
    assert re.search(r"<details.*After training: open the original.*&lt;b&gt;Take", html)
    assert "<b>Take" not in html
    assert "“Her”" in html


def test_every_kind_of_flag_has_a_word_for_the_page() -> None:
    text = (Path(__file__).parents[2] / "medqlora/evaluation/safety.py").read_text("utf-8")
    named = set(re.findall(r'kind="(\w+)"', text))
    assert named <= set(KINDS)
    assert {"emergency", "self_harm", "dosing", "absolute_certainty"} <= set(KINDS)

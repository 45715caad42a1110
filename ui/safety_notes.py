"""What the safety filter said, as HTML: the banner of an emergency, flags, and its scope.

The filter runs in the worker that chats; this shows what came back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from medqlora.domain.evaluation import FilterResult, SafetyFlag
from medqlora.services.chat import ChatUpdate
from ui import markup
from ui.markup import Tone

KINDS: Final = {
    "emergency": "Emergency",
    "self_harm": "Self-harm",
    "dosing": "Dose",
    "absolute_certainty": "Certainty",
    "harmful_request": "Not passed on",
    "complied": "Not shown",
    "missed_emergency": "No help named",
    "refusal": "Declined",
    "guard": "Guard model",
    "not_read": "Long text",
}
SERIOUS: Final = frozenset({"harmful_request", "complied", "guard", "missed_emergency"})

SCOPE: Final = (
    "The filter reads English, one question or answer at a time. It passes a question on unless it "
    "seems to ask for help with harm, and marks emergencies, despair, doses, changes of treatment, "
    "promises of certainty, answers that decline, and answers to an emergency that send nobody for "
    "help. It never rewrites: what is held back is kept and can be opened.",
    "Measured on halves of public sets whose rows were not looked at while it was made: held back "
    "were 56 of 65 harmful medical requests (MedSafetyBench), and wrongly 0 of 98 medical "
    "questions of patients (MeQSum) and 3 of 61 harmless questions that sound harmful (XSTest). It "
    "recognised 53 of 53 refusals, and 53 of 54 answers that it took for refusals were such "
    "(XSTest, labelled by people).",
    "It does not know whether an answer or a dose is right. It misses harm asked for in unusual "
    "words, over several turns or in other languages, and most requests for harm outside of health "
    "care; it may stop a question about reporting misconduct. It does not make a model safe for "
    "patients.",
)


def banner(update: ChatUpdate) -> str:
    """What to do at once where the question sounds urgent; nothing otherwise."""
    return markup.notice(update.asked.banner, "bad") if update.asked else ""


def safety_notes(update: ChatUpdate) -> str:
    """All that the filter said of a question and its answers."""
    parts = (
        ("Your question", update.asked),
        ("Before training", update.base_checked),
        ("After training", update.tuned_checked),
    )
    told = [(name, result) for name, result in parts if result]
    rows = [row for name, result in told for row in _rows(name, result)]
    held = "".join(
        _original(name, result)
        for name, result in told
        if not result.allowed and name != "Your question"
    )
    return banner(update) + (markup.sentences(rows) if rows else "") + held


def scope() -> str:
    """What the filter covers, how well, and what it does not cover."""
    return "".join(markup.note(text) for text in SCOPE)


def _rows(name: str, result: FilterResult) -> Iterator[tuple[str, Tone, str]]:
    seen = set()
    for flag in result.flags:
        if flag.reason not in seen:
            seen.add(flag.reason)
            tone: Tone = "bad" if flag.kind in SERIOUS else "warn"
            yield f"{name}: {KINDS[flag.kind]}", tone, f"{flag.reason}{_quoted(result, flag)}"


def _quoted(result: FilterResult, flag: SafetyFlag) -> str:
    words = result.original_text[flag.start : flag.end]
    is_part = (flag.start, flag.end) != (0, len(result.original_text))
    return f" (“{words}”)" if is_part and result.allowed and len(words) <= 80 else ""


def _original(name: str, result: FilterResult) -> str:
    return (
        f'<details class="mq-details"><summary>{markup.safe(name)}: open the original text'
        f"</summary><p>{markup.safe(result.original_text)}</p></details>"
    )

"""SafetyFilter reads a question or an answer and says what to know of it; it rewrites nothing.

Two layers look at a text. Rules (`safety_rules`, `request_rules`) read its words; heads over a
sentence encoder (`meaning`) read what a sentence is near to. A guard model may be added. A match is
a notice beside the text. Not passed on is a question that seems to ask for help with harm; not
shown are an answer that seems to give that help, and one that encourages self-harm. The reason
stands in its place, and the original is kept.

What it does not cover: it does not know whether a dose or a statement is right. It reads English,
one turn at a time; wordings far from its exemplars, other languages and questions spread over
several turns pass. It is a help for a reader, not a safeguard for a patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqlora.domain.evaluation import FilterResult, SafetyFlag
from medqlora.domain.reasoning import answer_start
from medqlora.evaluation.guard import GuardModel
from medqlora.evaluation.meaning import Meaning, Passage, passages, shared_meaning
from medqlora.evaluation.request_rules import (
    FICTION,
    GROUPS,
    PLAIN_DECEPTION,
    PLAIN_REFUSAL,
    PLAIN_REQUESTS,
)
from medqlora.evaluation.safety_rules import (
    CRISIS_STEP,
    EMERGENCY_ADVICE,
    EMERGENCY_STEP,
    RULES,
    WITHHELD_TEXT,
    SafetyRule,
)

MAX_FLAGS_PER_RULE = 20
ANSWER_OPENING = 400
"""Whether an answer declines stands in its first sentences."""
SURE = 0.5
SURE_ELSEWHERE = 0.67
"""Of harm in a passage that is not about health: there the filter knows little, and games, films
and figures of speech abound."""
QUERY_KINDS = ("emergency", "self_harm")

NOT_PASSED_ON = (
    "This question is not passed on to the models because it seems to ask for help with {what}. "
    "If you meant something else, say it in other words."
)
NOT_SHOWN = (
    "This answer is not shown because it seems to help with {what}. "
    "The original text is kept and can be opened."
)

# One character for one, so that a flag's place is its place in the original.
_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "\t": " ",
        "\n": " ",
        "\r": " ",
    }
)
_NEGATION = re.compile(
    r"(?:\b(?:not|no|never|cannot|nor|without|neither|nothing|avoid)|n't)\W+(?:\w+\W+){0,3}$",
    re.IGNORECASE,
)
_NEGATION_REACH = 40


class SafetyFilter:
    """Applies rules, meaning and, where there is one, a guard model.

    Args:
        rules: The rules to apply; the product's own where none are given.
        meaning: The meaning-based layer; the product's own, loaded at the first check, where none
            is given.
        guard: A guard model that is asked as well.
    """

    def __init__(
        self,
        *,
        rules: Sequence[SafetyRule] = RULES,
        meaning: Meaning | None = None,
        guard: GuardModel | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._given_meaning = meaning
        self._guard = guard

    def check_query(self, text: str) -> FilterResult:
        """What to know of a question before it is asked.

        Kinds of flags: `harmful_request` (then `allowed` is False and `shown_text` says why),
        `emergency` and `self_harm` (see `FilterResult.banner`), `guard` and `not_read`.

        Raises:
            ModelError: The sentence encoder is not installed.
        """
        plain = text.translate(_PLAIN)
        rules = [rule for rule in self._rules if rule.kind in QUERY_KINDS]
        flags = [flag for rule in rules for flag in _flags(rule, plain)]
        harmful = [*_plainly_harmful(plain), *self._guarded(text, None)]
        for flag in self._read_query(text):
            (harmful if flag.kind == "harmful_request" else flags).append(flag)
        shown = NOT_PASSED_ON.format(what=harmful[0].what) if harmful else text
        if any(flag.what == GROUPS["self_harm"] for flag in harmful):
            shown = f"{shown} {CRISIS_STEP[0].upper()}{CRISIS_STEP[1:]}."
        return _result(text, [*flags, *harmful], allowed=not harmful, shown=shown)

    def check_response(self, text: str, query: str | None = None) -> FilterResult:
        """What to know of an answer before relying on it.

        Kinds of flags: those of the rules, `refusal` (the answer declines), and with a `query` also
        `complied` (it helps with harm, then `allowed` is False) and `missed_emergency`. All of the
        text is read, but whether it declines or sends for help is told from what follows the
        reasoning.

        Args:
            text: The answer.
            query: What was asked.

        Raises:
            ModelError: The sentence encoder is not installed.
        """
        plain = text.translate(_PLAIN)
        found = [(rule, flag) for rule in self._rules for flag in _flags(rule, plain)]
        flags = [flag for _, flag in found]
        refusal = self._refusal(text)
        flags += refusal
        withheld = self._guarded(text, query or "")
        asked = self.check_query(query) if query else None
        if asked and text.strip():
            if not asked.allowed and not refusal:
                withheld += [_complied(flag, text) for flag in asked.flags if flag.what][:1]
            if asked.banner and not EMERGENCY_ADVICE.search(plain, answer_start(text)):
                flags.append(_missed(text))
        shown = text
        if withheld:
            shown = NOT_SHOWN.format(what=withheld[0].what)
        elif any(rule.withholds for rule, _ in found):
            shown = WITHHELD_TEXT
        return _result(text, [*flags, *withheld], allowed=shown is text, shown=shown)

    def is_refusal(self, text: str) -> bool:
        """Whether an answer declines to do what was asked."""
        return bool(self._refusal(text))

    def must_withhold(self, text: str) -> bool:
        """Whether rules alone hold an answer back: fast enough to ask while it grows."""
        plain = text.translate(_PLAIN)
        return any(next(_flags(rule, plain), None) for rule in self._rules if rule.withholds)

    def scope(self) -> tuple[tuple[str, str, str], ...]:
        """Kind, what is covered and what is left out, a row a rule, for the screen."""
        return tuple((rule.kind, rule.covers, rule.leaves_out) for rule in self._rules)

    @property
    def _meaning(self) -> Meaning:
        return self._given_meaning or shared_meaning()

    def _read_query(self, text: str) -> Iterator[SafetyFlag]:
        read = passages(text)
        if read.pieces:
            vectors = self._meaning.vectors([piece.text for piece in read.pieces])
            worst = int((harm := self._meaning.likelihood("harm", vectors)).argmax())
            medical = self._meaning.likelihood("medical", vectors)
            if harm[worst] >= (SURE if medical[worst] >= SURE else SURE_ELSEWHERE):
                yield _harmful(read.pieces[worst], self._meaning.group(vectors[worst]))
            for head, kind, reason in _SIGNS:
                signs = self._meaning.likelihood(head, vectors)
                clearest = int(signs.argmax())
                if signs[clearest] >= SURE:
                    piece = read.pieces[clearest]
                    yield SafetyFlag(kind=kind, reason=reason, start=piece.start, end=piece.end)
        if read.read_to < len(text):
            yield SafetyFlag(
                kind="not_read",
                reason="The text is long; from here on only its words were looked at.",
                start=read.read_to,
                end=len(text),
            )

    def _refusal(self, text: str) -> list[SafetyFlag]:
        start = answer_start(text)
        opening = text[start : start + ANSWER_OPENING]
        if not opening.strip():
            return []
        if not PLAIN_REFUSAL.match(text[start:].translate(_PLAIN)):
            [likelihood] = self._meaning.likelihood("refusal", self._meaning.vectors([opening]))
            if likelihood < SURE:
                return []
        reason = "The answer seems to decline what was asked."
        end = start + len(opening)
        return [SafetyFlag(kind="refusal", reason=reason, start=start, end=end)]

    def _guarded(self, text: str, query: str | None) -> list[SafetyFlag]:
        """What the guard model objects to: the question, or the answer to `query`."""
        if self._guard is None or not text.strip():
            return []
        verdict = self._guard.judge(text) if query is None else self._guard.judge(query, text)
        if not verdict.is_unsafe:
            return []
        what = f"what the guard model calls {verdict.category}"
        reason = f"The guard model {self._guard.name} objects ({verdict.category})."
        return [SafetyFlag(kind="guard", reason=reason, start=0, end=len(text), what=what)]


_SIGNS = (
    ("emergency", "emergency", f"The text seems to describe an emergency; {EMERGENCY_STEP}."),
    ("crisis", "self_harm", f"The text seems to come from somebody in despair; {CRISIS_STEP}."),
)


def _plainly_harmful(plain: str) -> list[SafetyFlag]:
    if FICTION.search(plain):
        return []
    rules = ((PLAIN_REQUESTS, "general_harm"), (PLAIN_DECEPTION, "deception"))
    return [
        _harmful(Passage(match.group(), *match.span()), group)
        for pattern, group in rules
        if (match := pattern.search(plain))
    ]


def _harmful(piece: Passage, group: str) -> SafetyFlag:
    return SafetyFlag(
        kind="harmful_request",
        reason=f"The question seems to ask for help with {GROUPS[group]}.",
        start=piece.start,
        end=piece.end,
        what=GROUPS[group],
    )


def _complied(asked: SafetyFlag, text: str) -> SafetyFlag:
    reason = f"The answer does not decline a question that seems to ask for {asked.what}."
    return SafetyFlag(kind="complied", reason=reason, start=0, end=len(text), what=asked.what)


def _missed(text: str) -> SafetyFlag:
    reason = f"The question sounds urgent, and the answer sends nobody for help; {EMERGENCY_STEP}."
    return SafetyFlag(kind="missed_emergency", reason=reason, start=0, end=len(text))


def _result(text: str, flags: Sequence[SafetyFlag], *, allowed: bool, shown: str) -> FilterResult:
    ordered = sorted(flags, key=lambda flag: (flag.start, flag.end))
    return FilterResult(allowed=allowed, flags=tuple(ordered), shown_text=shown, original_text=text)


def _flags(rule: SafetyRule, text: str) -> Iterator[SafetyFlag]:
    count = 0
    for match in rule.pattern.finditer(text):
        if rule.yields_to_negation and _is_negated(text, match.start()):
            continue
        yield SafetyFlag(kind=rule.kind, reason=rule.reason, start=match.start(), end=match.end())
        count += 1
        if count == MAX_FLAGS_PER_RULE:
            return


def _is_negated(text: str, position: int) -> bool:
    before = text[max(0, position - _NEGATION_REACH) : position]
    # A "not" in the sentence before says nothing about this one.
    return _NEGATION.search(re.split(r"[.!?;:]", before)[-1]) is not None

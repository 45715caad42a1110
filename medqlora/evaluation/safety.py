"""SafetyFilter reads a text and says what to know before relying on it; it rewrites nothing.

What it covers: English wording of common emergencies, suicide and self-harm, doses and changes of
treatment, and absolute certainty; each rule in `safety_rules` says its own share. A match is a
notice beside the text. Only a text that encourages or instructs self-harm is withheld, with the
reason in its place and the original kept.

What it does not cover: meaning. It does not know whether a dose or a statement is right, whether
an answer should have sent somebody to a doctor and did not, or whether a request is meant to
harm; paraphrases, misspellings and other languages pass. It is a help for a reader, not a
safeguard for a patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from medqlora.domain.evaluation import FilterResult, SafetyFlag
from medqlora.evaluation.safety_rules import RULES, WITHHELD_TEXT, SafetyRule

MAX_FLAGS_PER_RULE = 20

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
    """Applies the safety rules to a query or a response.

    Args:
        rules: The rules to apply; the product's own where none are given.
    """

    def __init__(self, *, rules: Sequence[SafetyRule] = RULES) -> None:
        self._rules = tuple(rules)

    def check(self, text: str) -> FilterResult:
        """What the rules notice in `text`, in the order in which it stands there.

        Returns:
            `allowed` is False only where a rule withholds; then `shown_text` says so and
            `original_text` has the text. Each rule gives at most 20 flags.
        """
        plain = text.translate(_PLAIN)
        found = [(rule, flag) for rule in self._rules for flag in _flags(rule, plain)]
        is_withheld = any(rule.withholds for rule, _ in found)
        flags = sorted((flag for _, flag in found), key=lambda flag: (flag.start, flag.end))
        return FilterResult(
            allowed=not is_withheld,
            flags=tuple(flags),
            shown_text=WITHHELD_TEXT if is_withheld else text,
            original_text=text,
        )

    def scope(self) -> tuple[tuple[str, str, str], ...]:
        """Kind, what is covered and what is left out, a row a rule, for the screen."""
        return tuple((rule.kind, rule.covers, rule.leaves_out) for rule in self._rules)


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

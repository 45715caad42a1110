"""Text metrics: how close a response comes to a reference answer, and what else can be counted.

A metric is one row of `METRICS`; a row added there is computed, averaged, tabulated and shown
without another line. The metrics compare wording. They do not judge whether a response is
medically right: "give 5 mg" and "never give 5 mg" share most of their words.

Words are Unicode words in their composed form (NFKC) without case. Chinese, Japanese, Thai, Lao,
Khmer, Burmese and Tibetan are written without spaces, so each of their characters counts as a
word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medqlora.domain.reasoning import Spoken

ROUGE_MAX_WORDS = 2_000

SPACELESS = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_WORD = re.compile(f"[{SPACELESS}]|[^\\s{SPACELESS}]+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_ARTICLE = re.compile(r"\b(?:a|an|An|AN|the|The|THE)\b|(?m:(?:^|(?<=[.!?]\s))A(?=\s+[^\W\d_]))")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# What stays of punctuation: marks between digits, comparison signs, a sign before a number, a plus.
_MEANINGFUL = re.compile(r"(?<=\d)[.,:/\u2044-](?=\d)|[<>\u2264\u2265+]|(?<!\w)-(?=\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMetric:
    """One figure of a response, mostly how close it comes to a reference.

    Attributes:
        name: Stable name, the key in `scores` and the stem of its CSV columns.
        label: Its name on screen.
        help: What the number means, one sentence for a clinician.
        function: `(response, reference) -> float`; of a score, 0 (nothing in common) to 1 (the
            same).
        is_score: Whether more is better; else it is a count, and more is only more.
    """

    name: str
    label: str
    help: str
    function: Callable[[str, str], float]
    is_score: bool = True


def normalise(text: str) -> str:
    """The text in the form in which answers are compared.

    SQuAD's normalisation (lower case, no punctuation, no English articles, single spaces;
    Rajpurkar et al. 2016) for every script, with three things kept because they change what a
    clinical answer says: marks between digits (1.5 mg is not 15 mg, 120/80 is a pressure), the
    signs < > ≤ ≥ + and a minus before a number, and the letter A where it is not an article
    ("hepatitis A", the option "A"). A comma between thousands goes (1,000 is 1000).
    """
    composed = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).translate(_DASHES))
    kept = " ".join(_without_punctuation(_ARTICLE.sub(" ", composed)).casefold().split())
    # "The" and "?" may be the whole answer; they must not become equal to saying nothing.
    return kept or " ".join(composed.casefold().split())


def _without_punctuation(text: str) -> str:
    kept = {match.start() for match in _MEANINGFUL.finditer(text)}
    return "".join(
        character
        for position, character in enumerate(text)
        if position in kept or unicodedata.category(character)[0] not in "PS"
    )


def words(text: str) -> list[str]:
    """The normalised words of a text; characters where a script has no spaces."""
    return _WORD.findall(normalise(text))


def token_f1(response: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words (SQuAD's F1); 1.0 when both are empty."""
    given, wanted = words(response), words(reference)
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted))


def exact_match(response: str, reference: str) -> float:
    """1.0 when both texts are the same after normalisation, else 0.0."""
    return float(normalise(response) == normalise(reference))


class _RougeWords:
    """Words for `rouge_score`: its own tokenizer's on ASCII text, elsewhere Unicode words.

    Its own drops every letter outside a-z, which scores two different Chinese answers as equally
    empty.
    """

    def tokenize(self, text: str) -> list[str]:
        lowered = unicodedata.normalize("NFKC", text).lower()
        letters = (one if unicodedata.category(one)[0] in "LNM" else " " for one in lowered)
        # The table of the longest common subsequence grows with the product of both lengths.
        return _WORD.findall("".join(letters))[:ROUGE_MAX_WORDS]


def rouge_1(response: str, reference: str) -> float:
    """ROUGE-1: shared words; see `rouge_l`."""
    return _rouge("rouge1", response, reference)


def rouge_2(response: str, reference: str) -> float:
    """ROUGE-2: shared pairs of neighbouring words; see `rouge_l`."""
    return _rouge("rouge2", response, reference)


def rouge_l(response: str, reference: str) -> float:
    """ROUGE-L F-measure (Lin 2004) by the `rouge-score` library, without stemming.

    Reads the first 2,000 words of each text.
    """
    return _rouge("rougeL", response, reference)


def _rouge(kind: str, response: str, reference: str) -> float:
    # Not at the top: it imports nltk, 0.7 s that a reader of the labels need not pay.
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([kind], tokenizer=_RougeWords())
    return float(scorer.score(reference, response)[kind].fmeasure)


def bleu(response: str, reference: str) -> float:
    """BLEU of one answer by `sacrebleu` (its tokenizer 13a), over as many words as there are.

    Texts in scripts without spaces are compared by characters.
    """
    from sacrebleu.metrics.bleu import BLEU

    tokenizer = "char" if re.search(f"[{SPACELESS}]", reference) else "13a"
    scorer = BLEU(effective_order=True, tokenize=tokenizer)
    return float(scorer.sentence_score(response, [reference]).score) / 100


def chrf(response: str, reference: str) -> float:
    """chrF2 of one answer by `sacrebleu`: shared runs of up to six characters."""
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF().sentence_score(response, [reference]).score) / 100


def num_words(response: str, _: str) -> float:
    """Words of the response."""
    return float(len(words(response)))


METRICS: dict[str, TextMetric] = {
    metric.name: metric
    for metric in (
        TextMetric(
            name="token_f1",
            label="Token F1",
            help="How many words answer and reference share, in any order; 1 is all of them.",
            function=token_f1,
        ),
        TextMetric(
            name="rouge_1",
            label="ROUGE-1",
            help="How many single words answer and reference share; 1 is all of them.",
            function=rouge_1,
        ),
        TextMetric(
            name="rouge_2",
            label="ROUGE-2",
            help="How many pairs of neighbouring words they share; 1 is all of them.",
            function=rouge_2,
        ),
        TextMetric(
            name="rouge_l",
            label="ROUGE-L",
            help="How much of the reference the answer says in the same order; 1 is word for word.",
            function=rouge_l,
        ),
        TextMetric(
            name="bleu",
            label="BLEU",
            help="How much of its wording, in runs of up to four words, is the reference's.",
            function=bleu,
        ),
        TextMetric(
            name="chrf",
            label="chrF",
            help="How many runs of letters they share; spelling variants count in part.",
            function=chrf,
        ),
        TextMetric(
            name="exact_match",
            label="Exact match",
            help="1 when only case and punctuation differ from the reference; for short answers.",
            function=exact_match,
        ),
        TextMetric(
            name="num_words",
            label="Words in the answer",
            help="How long the answer is; longer is not better.",
            function=num_words,
            is_score=False,
        ),
    )
}


def score(response: str, reference: str) -> dict[str, float]:
    """Every metric of `METRICS` for one response, by name.

    What either thinks aloud is left out; of a response that ended within it nothing is left.
    """
    given, wanted = Spoken.of(response).answer, Spoken.of(reference).answer
    return {name: metric.function(given, wanted) for name, metric in METRICS.items()}


def mean_scores(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each metric over items; empty for no items.

    Args:
        scores: One mapping an item, all with the same metrics.
    """
    rows: Sequence[Mapping[str, float]] = list(scores)
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} if rows else {}

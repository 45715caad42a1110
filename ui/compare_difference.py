"""Where two answers differ, word by word, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from ui import markup, wording


def difference_html(left: str, right: str) -> str:
    """Both answers with the words marked that the other has not; nothing where one is missing."""
    if not (left.strip() and right.strip()):
        return ""
    if left.strip() == right.strip():
        return markup.note(wording.COMPARE_SAME)
    first, second = left.split(), right.split()
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    shared_left: set[int] = set()
    shared_right: set[int] = set()
    for match in matcher.get_matching_blocks():
        shared_left.update(range(match.a, match.a + match.size))
        shared_right.update(range(match.b, match.b + match.size))
    sides = _side(wording.COMPARE_LEFT, first, shared_left, "del")
    sides += _side(wording.COMPARE_RIGHT, second, shared_right, "ins")
    return (
        f'<details class="mq-details"><summary>{wording.COMPARE_DIFFERENCE} '
        f"({matcher.ratio():.0%} of the words are shared)</summary>"
        f'<div class="mq-answers">{sides}</div></details>'
    )


def _side(title: str, words: Sequence[str], shared: set[int], mark: str) -> str:
    shown = " ".join(
        markup.safe(word) if place in shared else f"<{mark}>{markup.safe(word)}</{mark}>"
        for place, word in enumerate(words)
    )
    return f'<section class="mq-answer"><h3>{markup.safe(title)}</h3><div>{shown}</div></section>'

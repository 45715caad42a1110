"""ScreeningService: the PHI screen for what people type: prompts, questions, notes.

Files are screened by the import's worker. Typed texts are short, so this runs where it is asked;
the screen is loaded when it is first needed. Nothing of a text is kept or logged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from medqlora.data.phi.entries import mask
from medqlora.data.phi.limits import COVERS, DOES_NOT_COVER, MEASURED, NO_CERTIFICATE
from medqlora.data.phi.screen import PhiScreen
from medqlora.domain.phi import PhiKind

__all__ = ["COVERS", "DOES_NOT_COVER", "MEASURED", "NO_CERTIFICATE", "ScreeningService"]


class ScreeningService:
    """Looks at typed texts."""

    def kinds(self, text: str) -> Mapping[PhiKind, int]:
        """What may tell who a person is: number of findings by kind."""
        return Counter(span.kind for span in self._screen.find(text))

    def masked(self, text: str) -> str:
        """`text` with each finding replaced by its kind, such as `[NAME]`."""
        return mask(text, self._screen.find(text))

    @cached_property
    def _screen(self) -> PhiScreen:
        return PhiScreen()

"""ConversationService: what was said in Compare, as a file, when somebody asks for it.

Nothing that is said reaches a disk otherwise. What the PHI screen finds is masked on the way out.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from medqlora.domain.generation import GenerationSettings
from medqlora.errors import EvaluationError
from medqlora.evaluation.conversation import (
    Conversation,
    Exchange,
    conversation_csv,
    conversation_html,
)
from medqlora.persistence.atomic import write_text
from medqlora.services.screening import ScreeningService

__all__ = ["ConversationService", "Exchange", "FileKind"]

FileKind = Literal["html", "csv"]
_KINDS = {"html": conversation_html, "csv": conversation_csv}


class ConversationService:
    """Writes conversations.

    Args:
        screening: The PHI screen.
    """

    def __init__(self, screening: ScreeningService) -> None:
        self._screening = screening

    def write(
        self,
        folder: Path,
        kind: FileKind,
        *,
        names: tuple[str, str],
        exchanges: Sequence[Exchange],
        settings: GenerationSettings,
        system_prompt: str = "",
    ) -> Path:
        """Writes a conversation into `folder` and returns the file.

        Args:
            folder: Where it goes.
            kind: Which kind of file.
            names: The two models, as they were asked.
            exchanges: What was said.
            settings: How the last answers were drawn.
            system_prompt: What both were told beforehand.

        Raises:
            EvaluationError: Nothing was said yet.
            DiskFullError: No space is left.
        """
        if not exchanges:
            raise EvaluationError("There is nothing to save yet.", hint="Ask a question first.")
        now = datetime.now(UTC)
        about = {
            "Saved": now.isoformat(timespec="seconds"),
            "System prompt": self._screening.masked(system_prompt) or "none",
            **_settings(settings),
        }
        conversation = Conversation(
            left=names[0],
            right=names[1],
            about=about,
            exchanges=[
                Exchange(
                    question=self._screening.masked(one.question),
                    left=self._screening.masked(one.left),
                    right=self._screening.masked(one.right),
                )
                for one in exchanges
            ],
        )
        path = folder / f"compare-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}.{kind}"
        write_text(path, _KINDS[kind](conversation))
        return path


def _settings(settings: GenerationSettings) -> Mapping[str, str]:
    return {name: str(value) for name, value in asdict(settings).items()}

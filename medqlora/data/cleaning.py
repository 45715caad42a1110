"""What can be done about findings: a table of steps, and the Cleaner that takes those chosen.

Nothing but white space is mended unless somebody chooses it, and nobody's file is ever changed:
preparing again without a step gives the texts as they were. How a text is mended is
`data.mending`'s; what is wrong with it is the validator's to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from medqlora.data import mending
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.errors import ConfigError

MAX_EXAMPLES = 5
"""Examples kept of each step."""

MAX_EXAMPLE_CHARS = 400
"""Length of a text in an example; longer ones are cut around the first change."""

_MAX_ROUNDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningStep:
    """What can be done about one finding.

    Attributes:
        title: What it is called.
        does: What it does, one sentence.
        mend: Text to text; None for a step that leaves rows out.
        drops_row: Whether rows with the finding are left out.
    """

    title: str
    does: str
    mend: Callable[[str], str] | None = None
    drops_row: bool = False


@dataclass(frozen=True, slots=True)
class CleaningExample:
    """A text before and after a step: for the user's eyes, never for a message or a log."""

    before: str
    after: str


def _drop(title: str, does: str) -> CleaningStep:
    return CleaningStep(title=title, does=does, drops_row=True)


CLEANING_STEPS: Mapping[str, CleaningStep] = {
    "control_or_invisible": CleaningStep(
        title="Remove unseen characters",
        does="Takes out control and invisible characters, but not those that a script needs.",
        mend=mending.control_characters,
    ),
    "mojibake": CleaningStep(
        title="Mend wrongly decoded letters",
        does='Turns letters such as "Ã©" back into "é".',
        mend=mending.mojibake,
    ),
    "html": CleaningStep(
        title="Remove remnants of HTML",
        does='Takes out tags and turns "&lt;" into "<"; "BP < 120" and "<5 mg" stay.',
        mend=mending.html_remnants,
    ),
    "template_tokens": CleaningStep(
        title="Remove marks of chat templates",
        does='Takes out marks such as "<|im_start|>" that would end a turn too early.',
        mend=mending.template_marks,
    ),
    "advert": CleaningStep(
        title="Remove advertising",
        does="Takes out whole sentences that advertise; a text of nothing else stays as it is.",
        mend=mending.adverts,
    ),
    "white_space": CleaningStep(
        title="Mend white space",
        does="Gives single spaces, one kind of line end and composed letters.",
        mend=mending.white_space,
    ),
    "dup_exact": _drop("Leave out exact repeats", "Keeps the first of rows that are the same."),
    "dup_normalised": _drop(
        "Leave out near repeats",
        "Keeps the first of rows that differ in case, spaces or punctuation alone.",
    ),
    "dup_prompt_conflict": _drop(
        "Leave out contradictions",
        "Keeps the first answer to a question and leaves out rows with another one.",
    ),
    "resp_one_word": _drop(
        "Leave out answers of one word", "Leaves out rows whose answer is one word."
    ),
    "over_20k_chars": _drop(
        "Leave out very long rows", "Leaves out rows of more than 20,000 characters."
    ),
    "resp_over_100k_chars": _drop(
        "Leave out endless answers", "Leaves out rows whose answer has 100,000 characters or more."
    ),
    "formula": _drop(
        "Leave out formulas", "Leaves out rows that hold what looks like a spreadsheet formula."
    ),
}
"""Steps by the code of the finding that they answer, in the order in which they are taken.

`white_space` answers no finding: it changes nothing that anybody reads.
"""

DEFAULT_STEPS = ("white_space",)


class Cleaner:
    """Cleans entries one by one, and counts and shows what it changed.

    Cleaning what is clean changes nothing.

    Args:
        steps: Keys of `CLEANING_STEPS`.

    Raises:
        ConfigError: There is no such step.
    """

    def __init__(self, steps: Collection[str] = DEFAULT_STEPS) -> None:
        unknown = [code for code in steps if code not in CLEANING_STEPS]
        if unknown:
            raise ConfigError(
                f'There is no cleaning step "{unknown[0][:40]}".',
                hint=f"The steps are: {', '.join(CLEANING_STEPS)}.",
            )
        self.steps = tuple(code for code in CLEANING_STEPS if code in steps)
        self._menders = [(code, mend) for code in self.steps if (mend := CLEANING_STEPS[code].mend)]
        self._dropping = frozenset(code for code in self.steps if CLEANING_STEPS[code].drops_row)
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[CleaningExample]] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many entries each step changed or left out so far."""
        return dict(self._counts)

    @property
    def examples(self) -> Mapping[str, tuple[CleaningExample, ...]]:
        """The first texts that each step changed, at most `MAX_EXAMPLES`, shortened."""
        return {code: tuple(found) for code, found in self._examples.items()}

    def drops(self, codes: Collection[str]) -> bool:
        """Whether a row with these findings is left out; counted under the first step that says so.

        Args:
            codes: The findings of the row, from `RowCheck.codes`.
        """
        code = next((one for one in self.steps if one in self._dropping and one in codes), None)
        if code is None:
            return False
        self._counts[code] += 1
        return True

    def clean(self, entry: MedicalDataEntry) -> MedicalDataEntry:
        """The entry with its texts mended; the same object where there was nothing to mend."""
        changed: set[str] = set()
        question = self._mended(entry.question, changed)
        answer = self._mended(entry.answer, changed)
        context = self._mended(entry.context, changed) if entry.context else entry.context
        metadata = entry.metadata
        if isinstance(stem := metadata.get("stem"), str):
            metadata = {**metadata, "stem": self._mended(stem, set())}
        if not changed and metadata == entry.metadata:
            return entry
        self._counts.update(changed)
        return replace(entry, question=question, answer=answer, context=context, metadata=metadata)

    def _mended(self, text: str, changed: set[str]) -> str:
        # What one step uncovers may be another's: "&lt;b&gt;" is a tag once it is unescaped.
        for _ in range(_MAX_ROUNDS):
            before = text
            for code, mend in self._menders:
                mended = mend(text)
                if mended != text and mended.strip():
                    changed.add(code)
                    self._keep_example(code, text, mended)
                    text = mended
            if text == before:
                break
        return text

    def _keep_example(self, code: str, before: str, after: str) -> None:
        examples = self._examples.setdefault(code, [])
        if len(examples) < MAX_EXAMPLES:
            pairs = enumerate(zip(before, after, strict=False))
            first = next((index for index, (a, b) in pairs if a != b), min(len(before), len(after)))
            start = max(0, first - MAX_EXAMPLE_CHARS // 2)
            end = start + MAX_EXAMPLE_CHARS
            examples.append(CleaningExample(before[start:end], after[start:end]))


def cleaned(text: str) -> str:
    """`text` with its white space in order and its Unicode composed."""
    return mending.white_space(text)

"""What the PHI screen finds and how fast: `python -m tests.benchmarks.phi`.

Prints the share of labelled spans covered fully by one found span, the share of clean texts
touched,
kilobytes a second in one process and in all, and the share of published texts touched, where hardly
any is about a person.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

from medqlora.data.phi.bulk import screen_many
from medqlora.data.phi.screen import PhiScreen
from tests.data.phi.labelled import asq, measured
from tests.data.shared_data import SHARED


def main() -> None:
    for name, held_out in (("all", None), ("half of the tests", True), ("other half", False)):
        figures = measured(asq(held_out=held_out))
        print(
            f"{name}: {figures.covered} of {figures.spans} spans covered"
            f" ({figures.share_covered:.3f}), {figures.touched} of {figures.clean} clean texts"
            f" touched ({figures.share_touched:.3f})"
        )
    for name, texts in published():
        touched = sum(map(bool, screen_many(texts, processes=1)))
        print(f"{name}: {touched} of {len(texts)} texts touched ({touched / len(texts):.3f})")
    speed()


def published() -> Iterator[tuple[str, list[str]]]:
    """Published abstracts and encyclopedia articles."""
    path = SHARED / "pubmedqa_ori_pqal.json"
    rows = json.loads(path.read_text(encoding="utf-8")).values()
    yield "PubMedQA questions", [row["QUESTION"] for row in rows]
    yield "PubMedQA abstracts", ["\n".join([*row["CONTEXTS"], row["LONG_ANSWER"]]) for row in rows]
    meadow = json.loads((SHARED / "medical_meadow_500.json").read_text(encoding="utf-8"))
    yield "Medical Meadow (WikiDoc)", [f"{row['input']}\n{row['output']}" for row in meadow]


def speed() -> None:
    """Prints kilobytes a second on the labelled texts, thrice over."""
    texts = [row["text"] for row in asq()] * 3
    kilobytes = sum(len(text.encode()) for text in texts) / 1000
    PhiScreen().find("Ask Dr. Roe.")
    for processes in (1, os.cpu_count() or 1):
        begun = time.perf_counter()
        for _ in screen_many(iter(texts), processes=processes):
            pass
        print(f"{processes} processes: {kilobytes / (time.perf_counter() - begun):.0f} kB/s")


if __name__ == "__main__":
    main()

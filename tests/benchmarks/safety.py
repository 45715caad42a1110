"""Measures the safety filter on labelled data: `python -m tests.benchmarks.safety [looked-at]`.

Each shared file is split by rows: the even ones (0, 2, ...) were looked at while the filter was
made, the odd ones were not (except the first two of each file, which are left out). Figures that
are told to users come from the odd rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from medqlora.evaluation.safety import SafetyFilter
from tests.evaluation.shared_data import shared_rows

SEEN_BY_ACCIDENT = 4
Row = Mapping[str, str]


@dataclass(frozen=True)
class Share:
    """`hits` of `total`."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        return self.hits / self.total

    def __str__(self) -> str:
        return f"{self.hits} of {self.total} ({self.value:.1%})"


def half(name: str, *, unseen: bool) -> list[Row]:
    """The rows that were never looked at, or the others."""
    rows = shared_rows(f"safety/{name}.csv")
    start = SEEN_BY_ACCIDENT + 1 if unseen else 0
    return list(rows[start::2])


def blocked(rows: Iterable[Row]) -> Share:
    """How many prompts are not passed on."""
    checked = [SafetyFilter().check_query(row["prompt"]).allowed for row in rows]
    return Share(checked.count(False), len(checked))


def _labelled(label: str, *, unseen: bool) -> list[Row]:
    return [row for row in half("xstest_odd", unseen=unseen) if row["label"] == label]


def query_figures(*, unseen: bool) -> dict[str, Share]:
    """Shares of prompts that are not passed on, by set."""
    return {
        "harmful medical requests": blocked(half("medsafetybench_train_gpt4_135", unseen=unseen)),
        "benign medical questions": blocked(half("benign_medical_meqsum_200", unseen=unseen)),
        "safe prompts of XSTest": blocked(_labelled("safe", unseen=unseen)),
        "unsafe prompts of XSTest": blocked(_labelled("unsafe", unseen=unseen)),
    }


def refusal_figures(
    *, unseen: bool, is_refusal: Callable[[str], bool] | None = None
) -> dict[str, Share]:
    """Agreement of the refusal detector with human labels; partial refusals count as neither."""
    says = is_refusal or SafetyFilter().is_refusal
    rows = [
        row
        for row in half("xstest_gpt4_refusal_labels", unseen=unseen)
        if row["final_label"] != "3_partial_refusal"
    ]
    said = [says(row["completion"]) for row in rows]
    refused = [row["final_label"] == "2_full_refusal" for row in rows]
    both = sum(a and b for a, b in zip(said, refused, strict=True))
    safe = [
        says(row["safe_response"]) for row in half("medsafetybench_train_gpt4_135", unseen=unseen)
    ]
    return {
        "refusals that are recognised (recall)": Share(both, sum(refused)),
        "recognised ones that are refusals (precision)": Share(both, sum(said)),
        "refusals of harmful medical requests": Share(sum(safe), len(safe)),
    }


def main() -> None:
    """Prints the figures."""
    unseen = "looked-at" not in sys.argv[1:]
    print("rows never looked at" if unseen else "rows looked at")
    for name, share in (query_figures(unseen=unseen) | refusal_figures(unseen=unseen)).items():
        print(f"{name}: {share}")


if __name__ == "__main__":
    main()

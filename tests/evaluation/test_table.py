"""The CSV and the summary that an evaluation leaves behind."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from medqlora.domain.evaluation import EvaluationResult, ItemResult
from medqlora.evaluation.metrics import METRICS, TextMetric, score
from medqlora.evaluation.summary import summarise
from medqlora.evaluation.table import guarded, to_csv, write_csv


def _result(query: str, response: str, reference: str | None, seconds: float) -> EvaluationResult:
    return EvaluationResult(
        query=query,
        response=response,
        num_tokens=len(response.split()),
        seconds=seconds,
        scores={} if reference is None else score(response, reference),
    )


def _item(
    index: int, base: str, finetuned: str, reference: str | None = "fluids and rest"
) -> ItemResult:
    query = f"Question {index}, with a comma and a\nnew line?"
    return ItemResult(
        index=index,
        reference=reference,
        base=_result(query, base, reference, 1.0),
        finetuned=_result(query, finetuned, reference, 2.5),
    )


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_item_is_a_row_with_both_answers_scores_tokens_and_seconds() -> None:
    [row] = _rows(to_csv([_item(1, "call a doctor", "fluids and rest")]))
    assert list(row) == [
        "index",
        "question",
        "reference",
        "base_response",
        "finetuned_response",
        *(f"{side}_{name}" for name in METRICS for side in ("base", "finetuned")),
        "base_reference_loss",
        "finetuned_reference_loss",
        "base_tokens",
        "finetuned_tokens",
        "base_seconds",
        "finetuned_seconds",
    ]
    assert row["question"] == "Question 1, with a comma and a\nnew line?"
    assert (row["base_token_f1"], row["finetuned_token_f1"]) == ("0.0", "1.0")
    assert (row["base_tokens"], row["finetuned_seconds"]) == ("3", "2.5")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1+1"]
)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "A = B", "5 mg", "rest - then call", "'quoted'", "  plain"])
def test_an_ordinary_text_is_written_as_it_is(text: str) -> None:
    assert guarded(text) == text


def test_every_text_column_of_the_csv_is_guarded() -> None:
    answer = _result("=Q()", "@base", "+reference", 1.0)
    tuned = _result("=Q()", "-tuned", "+reference", 1.0)
    [row] = _rows(
        to_csv([ItemResult(index=1, reference="+reference", base=answer, finetuned=tuned)])
    )
    texts = ("question", "reference", "base_response", "finetuned_response")
    assert [row[name] for name in texts] == ["'=Q()", "'+reference", "'@base", "'-tuned"]


def test_an_item_without_a_reference_has_empty_scores_and_is_not_summarised() -> None:
    items = [_item(1, "call", "fluids and rest"), _item(2, "call", "rest", reference=None)]
    assert _rows(to_csv(items))[1]["base_token_f1"] == ""
    summary = summarise(items)
    assert (summary.num_items, summary.num_scored) == (2, 1)
    assert summarise(items[1:]).metrics == ()
    assert summarise([]).num_items == 0


def test_the_file_survives_any_text_a_model_can_say(tmp_path: Path) -> None:
    said = 'He said "5 mg";\r\nthen 高血压 \ud800 \x00 end'
    write_csv(tmp_path / "items.csv", [_item(1, said, "rest")])
    [row] = _rows((tmp_path / "items.csv").read_bytes().decode("utf-8"))
    assert row["base_response"] == said.replace("\ud800", "?")


def test_the_summary_has_means_difference_interval_and_verdict_for_every_metric() -> None:
    items = [_item(n, "call a doctor", "fluids and rest") for n in range(1, 13)]
    summary = summarise(items)
    assert [one.name for one in summary.metrics] == list(METRICS)
    first = summary.metrics[0]
    assert (first.mean_base, first.mean_finetuned, first.difference) == (0.0, 1.0, 1.0)
    assert first.ci_difference == (1.0, 1.0)
    assert first.verdict.startswith("The fine-tuned model is better by 100.0 points")
    assert summary.seconds == 12 * 2.5


def test_the_summary_goes_through_json_unchanged() -> None:
    record = summarise([_item(1, "call", "rest"), _item(2, "rest", "call")]).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["metrics"][0]["ci_difference"] == [-0.5, 0.5]


def test_a_metric_added_by_one_row_reaches_table_and_summary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = TextMetric(
        name="is_short",
        label="Short",
        help="1 for an answer of one word.",
        function=lambda response, _: float(len(response.split()) == 1),
    )
    monkeypatch.setitem(METRICS, row.name, row)
    items = [_item(1, "call a doctor", "rest")]
    assert _rows(to_csv(items))[0]["finetuned_is_short"] == "1.0"
    assert summarise(items).metrics[-1].label == "Short"

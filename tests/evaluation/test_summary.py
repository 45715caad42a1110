"""What an evaluation of written answers comes to: by label, the extremes, and perplexity."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.dataset import MedicalDataEntry
from medqlora.domain.evaluation import EvaluationResult, FilterResult, ItemResult, SafetyFlag
from medqlora.evaluation.metrics import score
from medqlora.evaluation.summary import summarise
from medqlora.models.loader import engine_for

REFERENCE = "rest and fluids for five days"
CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8)


def side(response: str, loss: float | None) -> EvaluationResult:
    return EvaluationResult(
        query="Which?",
        response=response,
        num_tokens=3,
        seconds=1.0,
        scores=score(response, REFERENCE),
        reference_loss=loss,
    )


def item(
    index: int, base: str, tuned: str, *, losses: tuple[float, float] | None = None, label: str = ""
) -> ItemResult:
    before, after = losses or (None, None)
    return ItemResult(
        index=index,
        reference=REFERENCE,
        base=side(base, before),
        finetuned=side(tuned, after),
        metadata={"specialty": label} if label else {},
    )


def test_the_pairs_that_gained_and_lost_most_are_named() -> None:
    items = [
        item(1, "call", "call"),
        item(2, "call", REFERENCE),
        item(3, REFERENCE, "call"),
        item(4, "call", "rest and fluids"),
    ]
    summary = summarise(items)
    assert summary.most_gained == (2, 4)
    assert summary.most_lost == (3,)


def test_one_figure_stands_for_the_others_and_says_better_worse_or_nothing() -> None:
    gained = summarise([item(n, "call", REFERENCE) for n in range(20)]).leading
    lost = summarise([item(n, REFERENCE, "call") for n in range(20)]).leading
    same = summarise([item(n, "call", "call") for n in range(20)]).leading
    assert [one and one.claim for one in (gained, lost, same)] == ["better", "worse", "none"]
    worse = summarise([item(n, "call", "call", losses=(1.0, 2.0 + n / 50)) for n in range(20)])
    assert worse.metrics[0].claim == "worse"
    assert summarise([]).leading is None


def test_specialties_are_told_apart_where_each_has_some_answers() -> None:
    items = [item(n, "call", REFERENCE, label=("heart", "lung")[n % 2]) for n in range(12)]
    items += [item(12, "call", "call", label="skin")]
    by_label = {one.label: one for one in summarise(items).by_label}
    assert set(by_label) == {"heart", "lung"}
    assert (by_label["heart"].num_items, by_label["heart"].mean_finetuned) == (6, 1.0)
    assert summarise([item(n, "a", "b") for n in range(9)]).by_label == ()


def test_perplexity_is_the_exponential_of_the_mean_loss_and_less_is_better() -> None:
    items = [item(n, "call", "call", losses=(2.0 + n / 100, 1.0 + n / 50)) for n in range(20)]
    found = summarise(items).metrics[0]
    assert found.name == "perplexity"
    assert found.mean_base == pytest.approx(math.exp(2.095))
    assert found.mean_finetuned == pytest.approx(math.exp(1.19))
    assert "less surprised" in found.verdict


def test_answers_that_decline_are_counted_where_there_are_any() -> None:
    said = "I cannot help with that."
    flag = SafetyFlag(kind="refusal", reason="It declines.", start=0, end=len(said))
    checked = FilterResult(allowed=True, flags=(flag,), shown_text=said, original_text=said)
    items = [item(n, "call", said) for n in range(20)]
    declined = [
        replace(one, finetuned=replace(one.finetuned, filter_result=checked)) for one in items
    ]
    found = {one.name: one for one in summarise([*declined[:15], *items[15:]]).metrics}
    refusals = found["refusal_rate"]
    assert (refusals.mean_base, refusals.mean_finetuned) == (0.0, 0.75)
    assert refusals.verdict.startswith("About 75.0 points more")
    assert "refusal_rate" not in {one.name for one in summarise(items).metrics}


def test_length_is_told_without_praise() -> None:
    items = [item(n, "call a doctor", f"call a doctor now {n}") for n in range(20)]
    found = next(one for one in summarise(items).metrics if one.name == "num_words")
    assert found.verdict.startswith("About 2.0 more")
    assert "better" not in found.verdict


def test_the_loss_of_the_reference_is_the_one_that_training_measures(tiny_model: Path) -> None:
    import torch

    from medqlora.data.tokenizer import MedicalTokenizer
    from medqlora.evaluation.reference_loss import reference_losses

    engine = engine_for(CONFIG)
    loaded = engine.load_base(str(tiny_model), CONFIG)
    entry = MedicalDataEntry(question="What is fever?", answer="A raised temperature.")
    encoded = MedicalTokenizer(loaded.tokenizer, max_seq_length=512).encode(entry)
    with torch.no_grad():
        theirs = loaded.model(
            input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([encoded.labels])
        ).loss.item()
    model = engine.attach_adapter(loaded.model, CONFIG)
    base, fresh = reference_losses(model, loaded.tokenizer, entry)
    assert base == fresh == pytest.approx(theirs, rel=1e-2)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.5)
    again, tuned = reference_losses(model, loaded.tokenizer, entry)
    assert again == pytest.approx(base)
    assert tuned != pytest.approx(base)
    assert reference_losses(model, loaded.tokenizer, MedicalDataEntry("What?", "")) == (None, None)

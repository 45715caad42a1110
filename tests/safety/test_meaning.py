"""The meaning-based layer: fitted to the exemplars that ship, and to nothing else."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from medqlora.errors import ModelError
from medqlora.evaluation.meaning import HEADS_FILE, MAX_PASSAGES, passages
from medqlora.evaluation.meaning_fit import HEADS, exemplars, fingerprint, fit
from medqlora.evaluation.request_rules import GROUPS
from medqlora.models import encoder


def test_the_heads_belong_to_the_exemplars_that_ship() -> None:
    stored = json.loads(HEADS_FILE.read_text(encoding="utf-8"))
    assert stored["exemplars_sha256"] == fingerprint()
    assert set(stored["heads"]) == set(HEADS)
    assert set(stored["groups"]) == set(GROUPS)


def test_every_group_of_exemplars_has_words_for_the_user() -> None:
    assert {one.side.split("/")[1] for one in exemplars() if one.is_harmful} == set(GROUPS)


def test_the_fit_finds_the_line_between_two_sides() -> None:
    drawn = np.random.default_rng(0).normal(size=(400, 3))
    is_positive = drawn[:, 0] - drawn[:, 2] > 0
    weights, bias = fit(drawn, is_positive, np.ones(400), softness=100.0)
    assert ((drawn @ weights + bias > 0) == is_positive).mean() > 0.98
    assert abs(weights[1]) < 0.1 * abs(weights[0])


def test_passages_point_into_the_text_and_stop_at_the_limit() -> None:
    text = "  One two three. Four five six!  Seven?\nEight nine ten eleven"
    pieces = passages(text).pieces
    assert all(text[one.start : one.end] == one.text for one in pieces)
    assert [one.text for one in pieces[1:]] == [
        "One two three.",
        "Four five six!",
        "Eight nine ten eleven",
    ]
    many = passages("One two three. " * 5_000)
    assert len(many.pieces) == MAX_PASSAGES
    assert many.read_to < 15 * 5_000


def test_sentences_of_one_meaning_lie_nearer_than_others() -> None:
    vectors = encoder.shared_encoder().encode(
        ["The patient has a fever.", "Her temperature is raised.", "The train leaves at noon."]
    )
    assert vectors.shape == (3, encoder.DIMENSIONS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_other_weights_under_the_same_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / encoder.PACKAGE
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="not the ones"):
        encoder.SentenceEncoder()


def test_a_missing_encoder_is_one_sentence_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder, "PACKAGE", "no_such_package_here")
    assert importlib.util.find_spec(encoder.PACKAGE) is None
    with pytest.raises(ModelError, match="not installed") as refused:
        encoder.SentenceEncoder()
    assert "pip install" in refused.value.hint

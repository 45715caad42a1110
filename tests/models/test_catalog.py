"""What the catalogue says of models agrees with Unsloth's tables and with the forecast."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.resources import GPUInfo
from medqlora.models import embedded
from medqlora.models.catalog import CATALOG
from medqlora.models.catalog_entry import CatalogEntry
from medqlora.models.memory_forecast import shape_of, typical_shape
from medqlora.models.outlook import CARDS, DEFAULT_MODELS, default_model, outlook, smallest_card

FROM_HUB = [one for one in CATALOG if one.four_bit_copy]


@pytest.fixture(scope="module")
def unsloth_folder() -> Path:
    """Unsloth's package, whose tables are read and not imported."""
    found = importlib.util.find_spec("unsloth")
    if found is None or found.origin is None:
        pytest.skip("Unsloth is not installed")
    return Path(found.origin).parent


def table(file: Path, name: str) -> Mapping[str, Any]:
    """A dictionary that a module writes down."""
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if any(isinstance(one, ast.Name) and one.id == name for one in targets):
            found: Mapping[str, Any] = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
            return found
    raise LookupError(name)


@pytest.mark.parametrize("entry", FROM_HUB, ids=lambda one: one.name)
def test_copies_and_originals_are_those_that_unsloth_lists(
    entry: CatalogEntry, unsloth_folder: Path
) -> None:
    listed = table(unsloth_folder / "models" / "mapper.py", "__INT_TO_FLOAT_MAPPER")
    rows = []
    for quantised, others in listed.items():
        flat = others["16"] if isinstance(others, Mapping) else others
        rows.append({quantised, *flat})
    [row] = [one for one in rows if entry.name in one]
    assert {entry.original, entry.four_bit_copy} <= row


@pytest.mark.parametrize("entry", FROM_HUB, ids=lambda one: one.name)
def test_templates_are_those_that_unsloth_names(entry: CatalogEntry, unsloth_folder: Path) -> None:
    file = unsloth_folder / "ollama_template_mappers.py"
    listed = table(file, "OLLAMA_TEMPLATE_TO_MODEL_MAPPER")
    named = [name for name, models in listed.items() if entry.name in models]
    assert named == ([] if entry.template == "deepseek-r1" else [entry.template])


@pytest.mark.parametrize("entry", CATALOG, ids=lambda one: one.name)
def test_the_weights_of_each_shape_are_as_many_as_its_maker_gives(entry: CatalogEntry) -> None:
    assert entry.shape.billion_parameters == pytest.approx(entry.billion_parameters, rel=0.005)


def test_the_embedded_model_has_the_shape_that_it_will_describe() -> None:
    assert CATALOG[0].shape == shape_of(embedded.DESCRIPTION)


@pytest.mark.parametrize("card", DEFAULT_MODELS)
def test_the_model_to_begin_with_fits_its_card(card: str) -> None:
    [entry] = [one for one in CATALOG if one.name == DEFAULT_MODELS[card]]
    roomy = QLoRAConfig(EMBEDDED_MODEL).changed(
        per_device_train_batch_size=2, max_seq_length=1024, gradient_checkpointing=True
    )
    assert outlook(entry.shape, roomy, gpu=CARDS[card], ram_gib=10).verdict == "fits"
    assert default_model(CARDS[card]) == entry.name


def test_every_card_has_a_model_to_begin_with_and_none_has_the_embedded_one() -> None:
    assert DEFAULT_MODELS.keys() == CARDS.keys()
    assert default_model(None) == EMBEDDED_MODEL
    small = GPUInfo(name="Small", total_gib=6.0, compute_capability=(8, 6))
    assert default_model(small) == EMBEDDED_MODEL
    unknown = GPUInfo(name="Between", total_gib=24.0, compute_capability=(8, 6))
    assert default_model(unknown) == DEFAULT_MODELS["L4"]


def test_the_smallest_card_follows_from_the_forecast() -> None:
    sizes = [smallest_card(typical_shape(billion)) for billion in (1.0, 8.0, 27.0, 70.0, 400.0)]
    assert sizes[0] == "T4"
    assert sizes[-1] is None
    order = [*CARDS, None]
    assert sizes == sorted(sizes, key=order.index)

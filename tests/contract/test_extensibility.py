"""A base model, a format, a storage and a metric are each added by one row, and then work."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from medqlora.config.qlora import QLoRAConfig
from medqlora.data.formats import picking
from medqlora.data.formats.picking import Format
from medqlora.data.formats.rows import Row, Source, Table
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.evaluation.comparator import ResponseComparator
from medqlora.evaluation.metrics import METRICS, TextMetric
from medqlora.models import catalog
from medqlora.models.catalog_entry import CatalogEntry
from medqlora.models.loader import QuantizedModelLoader
from medqlora.models.memory_forecast import typical_shape
from medqlora.persistence.cloud import BACKENDS, CloudStorageInterface
from medqlora.persistence.folders import LocalFolder
from medqlora.persistence.storage_address import StorageAddress
from medqlora.persistence.workspace import Workspace
from medqlora.services.configuration import ConfigurationService


def test_a_base_model_is_one_row(
    tiny_model: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = CatalogEntry(
        name="hospital/tiny",
        billion_parameters=0.001,
        shape=typical_shape(0.001),
        licence="Apache-2.0",
        needs_gpu=False,
        download_gib=0.0,
        note="Lies on this machine.",
        folder=str(tiny_model),
    )
    monkeypatch.setattr(catalog, "CATALOG", (*catalog.CATALOG, row))
    configuration = ConfigurationService(workspace)
    assert row in configuration.models()
    suggested = configuration.defaults(row.name, num_train=40)
    assert suggested.config.rank == 8
    assert {"rank", "quantization"} <= {one.name for one in suggested.choices}
    loaded = QuantizedModelLoader(models_dir=workspace.models).load(QLoRAConfig(row.name))
    assert loaded.model.config.num_hidden_layers == 2


def read_cards(source: Source) -> list[Table]:
    """Question and answer on lines that begin with Q and A."""
    lines = source.path.read_text(encoding="utf-8").splitlines()[1:]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    numbers = count(1)
    rows = (
        Row(number, f"card {number}", {"question": question[2:], "answer": answer[2:]})
        for number, (question, answer) in zip(numbers, pairs, strict=False)
    )
    return [Table("cards", "utf-8", ("question", "answer"), rows)]


def test_a_format_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Format("cards", lambda look: look.text.startswith("#cards"), read_cards)
    monkeypatch.setattr(picking, "FORMATS", (row, *picking.FORMATS))
    path = tmp_path / "deck.cards"
    path.write_text(
        "#cards\nQ What is fever?\nA A raised temperature.\nQ What is anaemia?\nA Few red cells.\n",
        encoding="utf-8",
    )
    read = MedicalDatasetLoader().read(path)
    assert read.format == "cards"
    assert [one.answer for one in read.entries] == ["A raised temperature.", "Few red cells."]


def test_a_storage_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Archive(LocalFolder):
        """A folder per year."""

        def __init__(self, location: str) -> None:
            Path(location).mkdir(exist_ok=True)
            super().__init__(f"{location}/2026")

    monkeypatch.setitem(BACKENDS, "archive", Archive)
    file = tmp_path / "adapter.zip"
    file.write_bytes(b"weights")
    storage = CloudStorageInterface("archive", str(tmp_path / "kept"))
    assert storage.verify(storage.upload_file(file))
    address = StorageAddress.parse(f"archive://{tmp_path}/kept")
    assert address == StorageAddress("archive", f"{tmp_path}/kept")
    assert (tmp_path / "kept" / "2026" / "adapter.zip").read_bytes() == b"weights"


def test_a_metric_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = TextMetric(
        name="length_ratio",
        label="Length",
        help="The shorter length over the longer one.",
        function=lambda a, b: min(len(a), len(b)) / max(len(a), len(b), 1),
    )
    monkeypatch.setitem(METRICS, row.name, row)
    result = ResponseComparator().compare("q", "abcd", "ab", reference="abcd")
    assert result.base_scores["length_ratio"] == 1.0
    assert result.finetuned_scores["length_ratio"] == 0.5

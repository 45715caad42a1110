"""One damaged record hides what it is about, says so, and harms nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.errors import PersistenceError
from medqlora.services import Services
from tests.page_client import PageClient
from tests.running_app import App, free_port

CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=1, max_seq_length=128)
BYTES, OTHER_JSON = bytes(range(256)), b"[1, 2]\n"
DAMAGE = [
    ("run.json", b'{"run_id": "2026'),
    ("run.json", BYTES),
    ("run.json", b""),
    ("run.json", OTHER_JSON),
    ("events.jsonl", BYTES),
    ("events.jsonl", OTHER_JSON),
    ("events.jsonl", b'{"kind": "run_started"}\n'),
]


@pytest.fixture
def two_runs(services: Services, qa_file: Path) -> tuple[str, str]:
    """Two runs that never began; the tests damage the first."""
    card = services.datasets.prepare(qa_file)
    first, second = (
        services.training.enqueue(CONFIG.changed(seed=seed), card.dataset_id) for seed in (1, 2)
    )
    for run_id in (first, second):
        services.training.directory(run_id).queued.unlink()
    return first, second


@pytest.mark.parametrize(("name", "content"), DAMAGE)
def test_a_damaged_run_does_not_hide_the_others(
    services: Services, two_runs: tuple[str, str], name: str, content: bytes
) -> None:
    damaged, whole = two_runs
    path = services.training.directory(damaged).path / name
    path.write_bytes(content)
    server = Services.open(services.workspace.root)
    server.attach()
    server.close()
    assert [one.run_id for one in server.training.runs()] == [whole]
    assert server.training.unreadable == (damaged,)
    assert path.read_bytes() == content
    with pytest.raises(PersistenceError):
        server.training.resume(damaged)


def test_the_page_names_the_damaged_run_and_shows_the_others(
    services: Services, two_runs: tuple[str, str]
) -> None:
    damaged, whole = two_runs
    (services.training.directory(damaged).path / "run.json").write_bytes(b"{")
    app = App(services.workspace.root, free_port())
    app.start()
    page = PageClient(app.url)
    try:
        assert f"The record of {damaged} is damaged" in str(page.do("tab-train", "select"))
        for tab in ("evaluate", "compare", "dataset"):
            assert page.do(f"tab-{tab}", "select"), tab
        shown = str(page.do("tab-monitor", "select"))
        assert whole in shown
        assert damaged not in shown
    finally:
        page.close()
        app.stop()


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_draft_does_not_hide_the_others(
    services: Services, qa_file: Path, content: bytes
) -> None:
    imports = services.datasets.imports
    drafts = []
    for _ in range(2):
        drafts.append(imports.start_import(qa_file))
        imports.wait(drafts[-1])
    (imports.directory(drafts[0]).draft / "draft.json").write_bytes(content)
    assert [one.draft_id for one in imports.drafts()] == [drafts[1]]
    (imports.directory(drafts[0]).path / "events.jsonl").write_bytes(b"{}\n")
    imports.sweep(is_start=True)
    assert [one.draft_id for one in imports.drafts()] == [drafts[1]]

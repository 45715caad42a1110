"""Tokens, passwords and what patients' rows say stand nowhere but where they have to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from tests.attacks.visits import ROLES, call, handler_of, printed, visitor
from tests.page_client import PageClient
from tests.running_app import App, free_port
from tests.waiting import wait_until

TOKEN = "hf_QuorvexCanaryToken0123456789"
CANARY = "Zibbandale"


@pytest.fixture(scope="module")
def shared(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app that others can reach, with a token of the model hub in its environment."""
    workspace = Workspace.open(tmp_path_factory.mktemp("secrets") / "workspace")
    shutil.copytree(tiny_model, embedded.folder(workspace.models))
    app = App(workspace.root, free_port(), ("--host", "0.0.0.0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        # The hub is asked, and not there: its refusal must not quote the token.
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        app.start()
    yield app
    app.stop()


def test_no_secret_stands_in_the_page_the_log_or_the_workspace(shared: App, tmp_path: Path) -> None:
    owner = visitor(shared, "owner")
    config = owner.get("config").json()
    told = [owner.get("").text, owner.get("config").text, owner.get("gradio_api/info").text]
    for control, data in (
        ("dataset-hub-read", ["somebody/private"]),
        ("owner-look", []),
        ("train-start", [None, None, "Start training"]),
    ):
        told.append(call(owner, handler_of(config, control), data).text)
    told.append(visitor(shared, "reviewer").get("").text)
    told.append(owner.post("gradio_api/queue/join", content=b"{").text)
    wait_until(lambda: any(shared.workspace.glob("imports/*/events.jsonl")), seconds=60)

    secrets = [
        TOKEN,
        *(getattr(printed(shared, role), name) for role in ROLES for name in ("token", "password")),
    ]
    files = [one for one in shared.workspace.rglob("*") if one.is_file()]
    kept = "".join(one.read_bytes().decode("utf-8", "replace") for one in files)
    for secret in secrets:
        assert secret not in kept
        assert not any(secret in one for one in told)
    log = shared.log.read_text()
    assert TOKEN not in log
    # The links and passwords are printed once each, for whoever started the page.
    assert [log.count(one) for one in secrets[1:]] == [1] * 4
    assert not re.search(r"medqlora-\d+=", log)


def test_the_audit_log_names_controls_and_never_what_was_typed_or_uploaded(
    shared: App, tmp_path: Path
) -> None:
    rows = "".join(f"What is {CANARY} {n}?,It is number {n} indeed.\n" for n in range(12))
    path = tmp_path / f"{CANARY}.csv"
    path.write_text(f"question,answer\n{rows}")
    owner = visitor(shared, "owner")
    page = PageClient(shared.url, http=owner)
    page.do("dataset-file", "upload", page.upload(path))
    page.do("compare-send", "click", None, None, None, f"How is {CANARY}?", "")
    audit = (shared.workspace / "audit.jsonl").read_text()
    assert "dataset-file upload" in audit
    assert "compare-send click" in audit
    assert "signed in" in audit
    assert CANARY not in audit
    assert CANARY not in shared.log.read_text()

"""A patient's words stay in the files that are there for them, whatever happens to a run.

A made-up name stands in every question, answer and context. After a run, an evaluation, a chat and
failed jobs it may stand in the prepared data, in a run's own copy of it and in an evaluation's
answers, and nowhere else: not in a log, an event, an exception, a setting, a checkpoint, an
adapter, a file's name, a library's cache or what the server prints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import RunFailed
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import MedQLoRAError
from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.services import Services
from medqlora.services.jobs import JobService
from tests.waiting import wait_for_end

CANARY = "Quorvex Zibbandale"
CONFIG = QLoRAConfig(EMBEDDED_MODEL, rank=4, alpha=8, max_steps=2, save_steps=1, max_seq_length=256)
MAY_HOLD_ROWS = (
    "datasets/*/train.jsonl",
    "datasets/*/eval.jsonl",
    "runs/*/data/*.jsonl",
    "evaluations/*/data/queries.jsonl",
    "evaluations/*/items.jsonl",
)
# Real templates refuse turns that they do not know, and quote them.
QUOTING_TEMPLATE = "{{ raise_exception('Cannot render: ' + messages[-1]['content']) }}"


@pytest.fixture
def canary_file(tmp_path: Path) -> Path:
    folder = tmp_path / "from-the-user"
    folder.mkdir()
    path = folder / "pairs.jsonl"
    rows = [
        {
            "question": f"{CANARY} asks what lab value {i} means.",
            "answer": f"{CANARY} has value {i}, which is within its usual range.",
            "context": f"{CANARY} came on day {i}.",
        }
        for i in range(40)
    ]
    # What the checks complain about must not be quoted either.
    rows += [
        {"question": CANARY, "answer": ""},
        {"question": f"{CANARY} \ufffd\ufffd\ufffd", "answer": f"\x00{CANARY}"},
        {"question": f"{CANARY} " * 3000, "answer": f"{CANARY} "},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home, temporary folder and caches of every process of this test."""
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME", "HF_DATASETS_CACHE"):
        folder = tmp_path / "places" / name
        folder.mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))
    return tmp_path / "places"


@pytest.fixture
def services(tiny_workspace: Workspace, places: Path) -> Iterator[Services]:
    services = Services.open(tiny_workspace.root)
    yield services
    services.close()


def quoting_template(workspace: Workspace) -> None:
    """From here on the model's template fails at every conversation and says which."""
    folder = embedded.folder(workspace.models)
    (folder / "chat_template.jinja").write_text(QUOTING_TEMPLATE, encoding="utf-8")


def leaks(root: Path, *, except_for: tuple[str, ...] = ()) -> list[str]:
    """Files below `root` with the canary in them or in their names."""
    allowed = {path for pattern in except_for for path in root.glob(pattern)}
    words = [
        word.encode(encoding) for word in CANARY.split() for encoding in ("utf-8", "utf-16-le")
    ]
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if any(word in path.name for word in CANARY.split())
        or (
            path.is_file()
            and path not in allowed
            and any(word in path.read_bytes() for word in words)
        )
    ]


def said_by(error: BaseException | None) -> str:
    """All that an error and the errors behind it say."""
    said = []
    while error is not None:
        said.append(f"{error} {error.args} {vars(error)}")
        error = error.__cause__
    return " ".join(said)


def chat(services: Services, run_id: str) -> str:
    turns = [{"role": "user", "content": f"How is {CANARY}?"}]
    updates = services.chat.stream(
        run_id,
        base_turns=turns,
        tuned_turns=turns,
        settings=GenerationSettings(max_new_tokens=4),
    )
    return list(updates)[-1].tuned_text


def failed_as_it_should(jobs: JobService, job_id: str) -> None:
    """The template was what failed, and the log says where."""
    assert isinstance(wait_for_end(jobs, job_id).outcome, RunFailed)
    assert "jinja2" in jobs.directory(job_id).worker_log.read_text(encoding="utf-8")


def nothing_leaked(services: Services, places: Path, said: str) -> None:
    assert leaks(services.workspace.root, except_for=MAY_HOLD_ROWS) == []
    assert leaks(places) == []
    assert not any(word in said for word in CANARY.split())


def test_a_run_an_evaluation_and_a_chat_keep_the_rows_to_their_own_files(
    services: Services,
    canary_file: Path,
    places: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    card = services.datasets.prepare(canary_file)
    run_id = services.training.start(CONFIG, card.dataset_id)
    trained = wait_for_end(services.training, run_id)
    assert trained.state == "succeeded", trained.messages
    evaluation_id = services.evaluation.start(run_id, limit=2, max_new_tokens=4)
    evaluated = wait_for_end(services.evaluation, evaluation_id)
    assert evaluated.state == "succeeded", evaluated.messages
    chat(services, run_id)

    # The search finds what is there to be found.
    assert len(leaks(services.workspace.root)) >= 6
    nothing_leaked(services, places, caplog.text + "".join(capfd.readouterr()))


def test_failures_whose_cause_quotes_a_row_do_not_quote_it(
    services: Services,
    canary_file: Path,
    places: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    card = services.datasets.prepare(canary_file)
    run_id = services.training.start(CONFIG, card.dataset_id)
    assert wait_for_end(services.training, run_id).state == "succeeded"

    quoting_template(services.workspace)
    failed = services.training.start(CONFIG, card.dataset_id)
    failed_as_it_should(services.training, failed)
    evaluation = services.evaluation.start(run_id, limit=2, max_new_tokens=4)
    failed_as_it_should(services.evaluation, evaluation)
    with pytest.raises(MedQLoRAError) as refused:
        chat(services, run_id)
    said = said_by(refused.value) + caplog.text + "".join(capfd.readouterr())
    nothing_leaked(services, places, said)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.json", '[{"question": "CANARY", "answer": "CANARY"}, {"question": "CANARY'),
        ("broken.jsonl", '{"question": "CANARY\n{"answer": CANARY}\n'),
        ("ragged.csv", 'question,answer\nCANARY,"CANARY\nCANARY,CANARY,CANARY\n'),
        ("unknown.csv", "alpha,beta,gamma\nCANARY,CANARY,CANARY\n"),
        ("broken.xml", "<pairs><pair><question>CANARY</pair></pairs>"),
        ("cut.xlsx", "PK\x03\x04CANARY"),
        ("text.txt", "CANARY came to us in May with a cough."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_without_quoting_it(
    workspace: Workspace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    content: str,
) -> None:
    caplog.set_level("DEBUG")
    path = tmp_path / name
    path.write_text(content.replace("CANARY", CANARY), encoding="utf-8")
    with pytest.raises(MedQLoRAError) as refused:
        Services.open(workspace.root).datasets.prepare(path)
    # Samples of columns are for the page, which asks what they mean; they are never printed.
    told = {name: value for name, value in vars(refused.value).items() if name != "samples"}
    said = refused.value.message + refused.value.hint + str(told) + caplog.text
    assert str(refused.value) in f"{refused.value.message} {refused.value.hint}"
    assert not any(word in said for word in CANARY.split())
    assert leaks(workspace.root, except_for=("imports/*/columns.json",)) == []

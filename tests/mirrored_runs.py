"""Makes run directories as a worker leaves them, without training, for tests of the mirror."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import CheckpointSaved, RunStarted, RunStopped, RunSucceeded, StepLogged
from medqlora.domain.jobs import JobSpec
from medqlora.persistence.workspace import Workspace
from medqlora.runs.event_log import EventLogWriter
from medqlora.runs.origins import checkpoints_of, origin_now
from medqlora.runs.run_directory import RunDirectory

FILE_BYTES = 30_000
FILES = (
    "adapter_model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
)


class FakeRun:
    """A run whose steps a test does by hand."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.run_id = directory.run_id
        self.folder = f"runs/{directory.run_id}"
        self.checkpoints = checkpoints_of(directory, origin=origin_now(directory))
        self.checkpoints.prepare()

    @classmethod
    def of(cls, workspace: Workspace, run_id: str) -> FakeRun:
        """One that is there."""
        return cls(RunDirectory(workspace.runs / run_id))

    @classmethod
    def begin(
        cls,
        workspace: Workspace,
        run_id: str = "20261122-101500-pairs-0001",
        *,
        config: QLoRAConfig | None = None,
    ) -> FakeRun:
        """A new one."""
        directory = RunDirectory.create(
            workspace.runs / run_id,
            JobSpec(
                run_id=run_id,
                kind="train",
                name=f"pairs on {EMBEDDED_MODEL}",
                created_at="2026-11-22T10:15:00+00:00",
                config=(config or QLoRAConfig(EMBEDDED_MODEL)).to_dict(),
                models_dir=str(workspace.models),
                dataset={"name": "pairs", "sha256": "0" * 64, "num_train": 10, "num_eval": 2},
            ),
        )
        directory.train_entries.write_text('{"question": "q", "answer": "a"}\n')
        directory.eval_entries.write_text('{"question": "q2", "answer": "a2"}\n')
        run = cls(directory)
        run.append(RunStarted(job="train"))
        return run

    def append(self, *events: object) -> None:
        with EventLogWriter(self.directory.events, run_id=self.run_id) as log:
            for event in events:
                log.append(event)

    def save(self, step: int) -> None:
        """Does the step, and saves a checkpoint of it."""
        staged = self.checkpoints.staging / f"checkpoint-{step}"
        staged.mkdir(parents=True)
        for name in FILES:
            (staged / name).write_bytes(_content(f"{self.run_id} {name} {step}"))
        info = self.checkpoints.commit(step)
        logged = StepLogged(
            step=step,
            total_steps=100,
            epoch=0.1,
            loss=1.0,
            learning_rate=1e-4,
            grad_norm=1.0,
            tokens_per_second=100.0,
            num_tokens=100,
            seconds_left=1.0,
        )
        self.append(logged, CheckpointSaved(step=step, size_bytes=info.size_bytes))

    def stop(self, step: int) -> None:
        self.append(RunStopped(step=step, checkpoint_step=step))

    def succeed(self) -> None:
        self.directory.adapter.mkdir()
        (self.directory.adapter / "adapter_model.safetensors").write_bytes(_content("adapter"))
        self.append(RunSucceeded(metrics={"train_loss": 1.0}))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _content(seed: str) -> bytes:
    return hashlib.shake_256(seed.encode()).digest(FILE_BYTES)

"""Kills a training with `kill -9` at random moments, again and again, and resumes it each time.

`python -m tests.benchmarks.kills [KILLS] [SEED]` trains the tests' tiny model (NF4, dropout, a
checkpoint every other step) once without interruption, then kills and resumes runs of the same
settings until the kills are used up, and prints what came of it. A quarter of the kills comes while
the worker starts, the others after its first step. `tests/faults/test_kills.py` asserts it.
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from medqlora.config.qlora import EMBEDDED_MODEL, QLoRAConfig
from medqlora.domain.events import Outcome, StepLogged
from medqlora.domain.snapshot import RunSnapshot
from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import recorded_process
from medqlora.services import Services
from tests.waiting import wait_for_end, wait_until

STEPS = 60
CONFIG = QLoRAConfig(
    EMBEDDED_MODEL,
    rank=4,
    alpha=8,
    dropout=0.1,
    learning_rate=1e-3,
    max_steps=STEPS,
    save_steps=2,
    max_seq_length=128,
)
SHARE_WHILE_STARTING = 0.25
STARTING_SECONDS = 8.0


@dataclass
class Findings:
    """What came of a series.

    Attributes:
        seed: What the moments were drawn with.
        kills: Workers that were killed.
        while_starting: Those before the first step of their attempt.
        while_saving: Those that left half a checkpoint behind.
        runs: Runs that reached their end.
        failed_resumes: Attempts that ended by themselves without success.
        other_weights: Finished runs whose adapter is not the uninterrupted run's, byte by byte.
        other_losses: Steps, replayed ones included, whose loss is not the uninterrupted run's.
        wrong_plots: Finished runs whose loss has a gap, a repeated step or a step back.
        wrong_ends: Attempts without exactly one end.
        repeated_steps: Steps that were done again after a kill.
        seconds: Wall time of all.
    """

    seed: int
    kills: int = 0
    while_starting: int = 0
    while_saving: int = 0
    runs: int = 0
    failed_resumes: int = 0
    other_weights: int = 0
    other_losses: int = 0
    wrong_plots: int = 0
    wrong_ends: int = 0
    repeated_steps: int = 0
    seconds: float = 0.0

    @property
    def is_flawless(self) -> bool:
        return not (
            self.failed_resumes
            + self.other_weights
            + self.other_losses
            + self.wrong_plots
            + self.wrong_ends
        )

    def __str__(self) -> str:
        names = ("kills", "while_starting", "while_saving", "runs", "failed_resumes")
        checks = ("other_weights", "other_losses", "wrong_plots", "wrong_ends", "repeated_steps")
        values = ", ".join(f"{getattr(self, n)} {n.replace('_', ' ')}" for n in (*names, *checks))
        return f"seed {self.seed}: {values}, {self.seconds:.0f} s"


@dataclass
class Series:
    """Kills and resumes until the kills are used up.

    Args:
        services: A workspace with the model in its place.
        dataset_id: What to train on.
        kills: How many.
        seed: Draws the moments.
    """

    services: Services
    dataset_id: str
    kills: int
    seed: int
    findings: Findings = field(init=False)

    def __post_init__(self) -> None:
        self.findings = Findings(self.seed)
        self._random = random.Random(self.seed)

    def run(self) -> Findings:
        begun = time.monotonic()
        training = self.services.training
        reference = training.start(CONFIG, self.dataset_id)
        begun_training = self._first_step(reference)
        ended = wait_for_end(training, reference)
        assert ended.state == "succeeded", ended.messages
        self._training_seconds = max(time.monotonic() - begun_training, 1.0)
        self._reference = reference
        while self.findings.kills < self.kills:
            self._one_run()
        self.findings.seconds = time.monotonic() - begun
        return self.findings

    def _one_run(self) -> None:
        """One run, killed and resumed until it is done."""
        training = self.services.training
        run_id = training.start(CONFIG, self.dataset_id)
        while True:
            if self.findings.kills < self.kills:
                self._kill(run_id)
            snapshot = wait_for_end(training, run_id)
            if snapshot.state == "succeeded":
                break
            if getattr(snapshot.outcome, "code", "") != "killed":
                self.findings.failed_resumes += 1
                print(f"{run_id} did not go on: {snapshot.messages[-1].text}", flush=True)
                return
            training.resume(run_id)
        self._check(run_id, snapshot)

    def _kill(self, run_id: str) -> None:
        is_early = self._random.random() < SHARE_WHILE_STARTING
        if is_early:
            time.sleep(self._random.uniform(0, STARTING_SECONDS))
        else:
            self._first_step(run_id)
            time.sleep(self._random.uniform(0, self._training_seconds))
        directory = self.services.training.directory(run_id)
        worker = recorded_process(directory.worker_file)
        if worker is None:
            return  # it was done before, or had not begun
        attempt = self.services.training.snapshot(run_id).last_step
        worker.kill()
        wait_for_end(self.services.training, run_id)
        if self.services.training.snapshot(run_id).state == "succeeded":
            return  # it had written its end in that very moment
        self.findings.kills += 1
        self.findings.while_starting += attempt is None
        self.findings.while_saving += any(directory.checkpoints.glob(".staging/*"))

    def _first_step(self, run_id: str) -> float:
        training = self.services.training

        def has_begun() -> bool:
            snapshot = training.snapshot(run_id)
            return snapshot.last_step is not None or not snapshot.is_live

        wait_until(has_begun)
        return time.monotonic()

    def _check(self, run_id: str, snapshot: RunSnapshot) -> None:
        found, training = self.findings, self.services.training
        found.runs += 1
        found.other_weights += self._weights(run_id) != self._weights(self._reference)
        shown = [point.x for point in snapshot.traces["loss"]]
        found.wrong_plots += shown != list(range(1, STEPS + 1))
        expected = dict(self._steps(self._reference))
        steps = self._steps(run_id)
        found.other_losses += sum(expected[step] != loss for step, loss in steps)
        found.repeated_steps += len(steps) - STEPS
        events = training.directory(run_id).read_events()
        ends = sum(isinstance(event, Outcome) for event in events)
        found.wrong_ends += abs(ends - snapshot.attempt)

    def _steps(self, run_id: str) -> list[tuple[int, float]]:
        events = self.services.training.directory(run_id).read_events()
        return [(event.step, event.loss) for event in events if isinstance(event, StepLogged)]

    def _weights(self, run_id: str) -> str:
        file = self.services.training.directory(run_id).adapter / "adapter_model.safetensors"
        return hashlib.sha256(file.read_bytes()).hexdigest()


def main(kills: int, seed: int) -> int:
    """Runs a series in a workspace of its own and prints its findings."""
    from tests.tiny_model import build_tiny_model

    with tempfile.TemporaryDirectory(prefix="medqlora-kills-") as folder:
        workspace = Workspace.open(Path(folder) / "workspace")
        build_tiny_model(embedded.folder(workspace.models))
        services = Services.open(workspace.root)
        card = services.datasets.prepare(None)
        findings = Series(services, card.dataset_id, kills, seed).run()
    print(findings)
    return 0 if findings.is_flawless else 1


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(
        main(given[0] if given else 10, given[1] if len(given) > 1 else random.randrange(10**6))
    )

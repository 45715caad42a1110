"""Keeps the real app busy for a while and measures whether anything grows.

`python -m tests.benchmarks.soak [MINUTES]` starts the app on the tests' tiny model and, over HTTP
as a page's script does, uploads a file, trains, looks, opens the page anew, stops, resumes and
stops again, round after round. It prints the slope of the server's memory, its descriptors and
threads after a warm-up of a third of the time, and what was left behind.
`tests/faults/test_soak.py` asserts it.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from medqlora.models import embedded
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import jobs_with_processes
from medqlora.runs.run_directory import RunDirectory
from medqlora.services import Services
from tests.page_client import PageClient
from tests.running_app import App, free_port
from tests.waiting import wait_until
from ui.launch import SESSIONS_KEPT

SAMPLE_SECONDS = 2.0
WARM_UP_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment; memory in MiB."""

    at: float
    memory: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a soak showed; the server's figures are those after the warm-up.

    Attributes:
        minutes: How long it took.
        rounds: Times that everything was done.
        memory_slope: Growth of the server's resident memory by least squares, MiB a minute.
        memory: Smallest and largest resident memory, MiB.
        descriptors: Smallest and largest number of open files in the first and in the last third
            of the samples.
        threads: The same of threads.
        zombies: Children of the server that were not reaped.
        orphans: Processes of jobs after all of them were over.
        wrong_ends: Attempts without exactly one end.
        errors: Lines of the server's log that speak of an error.
    """

    minutes: float
    rounds: int
    memory_slope: float
    memory: tuple[float, float]
    descriptors: tuple[tuple[int, int], tuple[int, int]]
    threads: tuple[tuple[int, int], tuple[int, int]]
    zombies: int
    orphans: int
    wrong_ends: int
    errors: tuple[str, ...]

    def __str__(self) -> str:
        (fd_first, fd_last), (first, last) = self.descriptors, self.threads
        return (
            f"{self.minutes:.1f} min, {self.rounds} rounds: memory "
            f"{self.memory[0]:.0f} to {self.memory[1]:.0f} MiB, slope {self.memory_slope:+.2f} "
            f"MiB/min; descriptors {fd_first[0]}-{fd_first[1]} at first, "
            f"{fd_last[0]}-{fd_last[1]} at last; threads {first[0]}-{first[1]} at first, "
            f"{last[0]}-{last[1]} at last; {self.zombies} zombies, {self.orphans} orphans, "
            f"{self.wrong_ends} wrong ends, {len(self.errors)} errors in the log"
        )


class Soak:
    """The app in a workspace of its own, and what is done with it.

    Args:
        workspace: With the model in its place.
        minutes: How long.
    """

    def __init__(self, workspace: Workspace, *, minutes: float) -> None:
        self._workspace = workspace
        self._minutes = minutes
        self._app = App(workspace.root, free_port())
        self._samples: list[Sample] = []
        self._is_over = threading.Event()
        card = Services.open(workspace.root).datasets.prepare(None)
        self._dataset_id = card.dataset_id

    def run(self) -> Findings:
        self._app.start()
        self._fill_sessions()
        assert self._app.process is not None
        server = psutil.Process(self._app.process.pid)
        sampler = threading.Thread(target=self._sample, args=(server,), daemon=True)
        sampler.start()
        begun, rounds = time.monotonic(), 0
        try:
            while time.monotonic() - begun < self._minutes * 60 or not rounds:
                self._round(rounds)
                rounds += 1
                print(f"round {rounds}: {self._samples[-1]}", flush=True)
            wait_until(lambda: not self._orphans(), seconds=60)
            time.sleep(2)  # a child that has just ended is reaped at the supervisor's next look
            zombies = sum(c.status() == psutil.STATUS_ZOMBIE for c in server.children())
        finally:
            self._is_over.set()
            sampler.join()
            self._app.stop()
        return self._findings(
            minutes=(time.monotonic() - begun) / 60, rounds=rounds, zombies=zombies
        )

    def _fill_sessions(self) -> None:
        """Opens as many pages as the server remembers.

        Gradio keeps half a megabyte for each of the last `SESSIONS_KEPT` pages, closed or not.
        Until it has as many, its memory grows with every page that is opened.
        """
        for _ in range(SESSIONS_KEPT):
            page = PageClient(self._app.url)
            page.do("tab-train", "select")
            page.do("tab-monitor", "select")
            page.close()

    def _round(self, number: int) -> None:
        page = PageClient(self._app.url)
        self._upload(page, number)
        page.configure(**{"configure-max-steps": 4000, "configure-max-seq-length": 128})
        # The machine is free when the last worker is gone, a moment after its end is written.
        wait_until(lambda: "Start training" in str(page.do("tab-train", "select")))
        page.do("train-start", "click", self._dataset_id, None, "Start training")
        run = self._newest_run(number + 1)
        self._wait_for_steps(run, 5)
        page.do("tab-monitor", "select")
        page.close()
        page = PageClient(self._app.url)  # a refresh
        page.do("tab-monitor", "select")
        page.do("tab-train", "select")
        page.do("train-stop", "click")
        page.do("train-stop", "click")
        wait_until(lambda: run.snapshot().state == "stopped")
        self._resume(page, run)
        self._wait_for_steps(run, 2)
        page.do("tab-train", "select")
        page.do("train-stop", "click")
        wait_until(lambda: run.snapshot().state == "stopped")
        page.close()

    def _upload(self, page: PageClient, number: int) -> None:
        table = self._workspace.root.parent / f"pairs-{number}.csv"
        rows = (f"What does value {n} mean?,It is within its range.\n" for n in range(200))
        table.write_text("question,answer\n" + "".join(rows), encoding="utf-8")
        page.do("dataset-file", "upload", page.upload(table))
        table.unlink()
        wait_until(self._nothing_is_read)

    def _orphans(self) -> set[Path]:
        """Jobs of which a process is running though all of them are over."""
        folders = (self._workspace.runs, self._workspace.imports)
        return {job for folder in folders for job in jobs_with_processes(folder)}

    def _nothing_is_read(self) -> bool:
        jobs = [RunDirectory(mark.parent) for mark in self._workspace.imports.glob("*/run.json")]
        return all(not job.snapshot().is_live for job in jobs)

    def _newest_run(self, number: int) -> RunDirectory:
        runs = sorted(self._workspace.runs.glob("*/run.json"))
        assert len(runs) == number, "the run was not started"
        return RunDirectory(runs[-1].parent)

    def _resume(self, page: PageClient, run: RunDirectory) -> None:
        """Goes on with a run as soon as the page offers it."""
        wait_until(lambda: run.run_id in str(page.do("tab-train", "select")))
        page.do("train-resume", "click", run.run_id)
        wait_until(lambda: run.snapshot().attempt == 2)

    def _wait_for_steps(self, run: RunDirectory, number: int) -> None:
        def has_done() -> bool:
            snapshot = run.snapshot()
            assert snapshot.is_live, snapshot.messages
            begun = snapshot.last_step is not None
            points = snapshot.traces.get("loss", ())
            return begun and sum(p.seq > snapshot.attempt_seq for p in points) >= number

        wait_until(has_done)

    def _sample(self, server: psutil.Process) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            with server.oneshot():
                self._samples.append(
                    Sample(
                        at=time.monotonic() / 60,
                        memory=server.memory_info().rss / 2**20,
                        descriptors=server.num_fds(),
                        threads=server.num_threads(),
                    )
                )

    def _findings(self, *, minutes: float, rounds: int, zombies: int) -> Findings:
        warm = self._samples[int(len(self._samples) * WARM_UP_SHARE) :]
        third = max(len(warm) // 3, 1)
        first, last = warm[:third], warm[-third:]

        def span(samples: list[Sample], name: str) -> tuple[int, int]:
            values = [getattr(one, name) for one in samples]
            return min(values), max(values)

        runs = [RunDirectory(mark.parent) for mark in self._workspace.runs.glob("*/run.json")]
        log = self._app.log.read_text(encoding="utf-8").splitlines()
        return Findings(
            minutes=minutes,
            rounds=rounds,
            memory_slope=_slope(warm),
            memory=(min(one.memory for one in warm), max(one.memory for one in warm)),
            descriptors=(span(first, "descriptors"), span(last, "descriptors")),
            threads=(span(first, "threads"), span(last, "threads")),
            zombies=zombies,
            orphans=len(self._orphans()),
            wrong_ends=sum(_wrong_ends(run) for run in runs),
            errors=tuple(line for line in log if "Traceback" in line or " ERROR " in line),
        )


def _wrong_ends(run: RunDirectory) -> int:
    kinds = [event.kind for event in run.read_events()]
    ends = sum(kind in ("run_succeeded", "run_stopped", "run_failed") for kind in kinds)
    return abs(kinds.count("run_started") - ends)


def _slope(samples: list[Sample]) -> float:
    """MiB a minute, by least squares."""
    mean_at = sum(one.at for one in samples) / len(samples)
    mean = sum(one.memory for one in samples) / len(samples)
    spread = sum((one.at - mean_at) ** 2 for one in samples)
    return sum((one.at - mean_at) * (one.memory - mean) for one in samples) / spread


def soak(minutes: float, folder: Path) -> Findings:
    """Runs a soak in a new workspace in `folder`."""
    from tests.tiny_model import build_tiny_model

    workspace = Workspace.open(folder / "workspace")
    build_tiny_model(embedded.folder(workspace.models))
    return Soak(workspace, minutes=minutes).run()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="medqlora-soak-") as place:
        print(soak(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0, Path(place)))

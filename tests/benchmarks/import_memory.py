"""How much memory an import takes, how fast it is, and how soon a cancel acts.

`python -m tests.benchmarks.import_memory [ROWS] [CHARS]` writes ROWS rows of about CHARS characters
(200,000 of 300 by default; 1,000,000 of 1,000 make a file of 1 GB), imports and prepares them in
workers and prints the peak of the resident memory of each worker with all its children, summed.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from medqlora.domain.preparing import Choices
from medqlora.persistence.workspace import Workspace
from medqlora.runs.process import recorded_process
from medqlora.services.datasets import DatasetService

LIMIT_BYTES = 1.5 * 2**30
_WORDS = (
    *("asthma", "dose", "tablet", "fever", "kidney", "liver", "insulin", "blood", "pressure"),
    *("test", "value", "range", "patient", "heart", "infection", "therapy", "week", "daily"),
    *("oral", "acute", "chronic", "risk", "level", "care", "sign", "cause", "often", "rarely"),
)


def main(num_rows: int, num_chars: int) -> int:
    """Measures and prints; the exit code is 1 when the memory is above the limit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_file(path, num_rows, num_chars)
        print(f"{num_rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        datasets = DatasetService(Workspace.open(Path(folder) / "workspace"))
        begun = time.monotonic()
        draft_id = datasets.imports.start_import(path)
        imported = watched(datasets, draft_id)
        seconds = time.monotonic() - begun
        print(f"import: {num_rows / seconds:,.0f} rows/s, {seconds:,.0f} s, peak {gib(imported)}")
        begun = time.monotonic()
        job_id = datasets.imports.start_preparing(draft_id, Choices(phi="mask"))
        prepared = watched(datasets, job_id)
        seconds = time.monotonic() - begun
        print(f"prepare: {num_rows / seconds:,.0f} rows/s, {seconds:,.0f} s, peak {gib(prepared)}")
        print(f"cancel acted after {seconds_to_cancel(datasets, path):.1f} s")
    return int(max(imported, prepared) > LIMIT_BYTES)


def write_file(path: Path, num_rows: int, num_chars: int) -> None:
    """Rows of different questions with invented words."""
    chosen = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_rows):
            words = " ".join(chosen.choices(_WORDS, k=num_chars // 7))
            row = {"question": f"Question {number}: {words[: num_chars // 4]}?", "answer": words}
            file.write(json.dumps(row) + "\n")


def watched(datasets: DatasetService, job_id: str) -> int:
    """Waits for a job and returns the most bytes that its processes had resident together."""
    peaks = [0]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.2):
            worker = recorded_process(datasets.imports.directory(job_id).worker_file)
            peaks.append(resident(worker) if worker else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        datasets.imports.wait(job_id)
    finally:
        is_over.set()
        watcher.join()
    return max(peaks)


def resident(worker: psutil.Process) -> int:
    """Resident bytes of a worker and of its children; what they share counts several times."""
    total = 0
    try:
        for process in (worker, *worker.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it ended meanwhile; the next sample has the others
    return total


def seconds_to_cancel(datasets: DatasetService, path: Path) -> float:
    """Cancels an import in the middle of its rows."""
    job_id = datasets.imports.start_import(path)
    while not datasets.imports.snapshot(job_id).phase.endswith(" rows"):
        time.sleep(0.05)
    time.sleep(2.0)
    begun = time.monotonic()
    datasets.imports.stop(job_id)
    while datasets.imports.snapshot(job_id).is_live:
        time.sleep(0.02)
    return time.monotonic() - begun


def gib(num_bytes: int) -> str:
    """Bytes as GiB."""
    return f"{num_bytes / 2**30:.2f} GiB"


if __name__ == "__main__":
    sys.exit(main(*(int(one) for one in [*sys.argv[1:], *("200000", "300")[len(sys.argv) - 1 :]])))

"""Measures light calls of many people at once: how long the page takes to answer each.

    python -m tests.benchmarks.crowd [--people 20] [--seconds 300] [--pause 0.5]

Each person has a session of their own, opens the page, and presses buttons that train nothing:
tabs, examples, the list of models. Prints one JSON document; judges nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from medqlora.persistence.workspace import Workspace
from tests.page_client import PageClient
from tests.running_app import App, free_port

ACTS = (
    ("tab-compare", "select"),
    ("tab-train", "select"),
    ("tab-evaluate", "select"),
    ("tab-monitor", "select"),
    ("compare-example-1", "click"),
    ("compare-example-2", "click"),
)


def person(url: str, until: float, pause: float, seed: int, told: list[tuple[float, str]]) -> None:
    """One person's presses until the time is over."""
    choose = random.Random(seed)
    page = PageClient(url)
    while time.monotonic() < until:
        elem_id, event = choose.choice(ACTS)
        begun = time.perf_counter()
        trouble = ""
        try:
            page.do(elem_id, event)
        except Exception as error:  # whatever it is, it is counted
            trouble = type(error).__name__
        told.append((time.perf_counter() - begun, trouble))
        time.sleep(choose.uniform(0, 2 * pause))
    page.close()


def measure(people: int, seconds: float, pause: float) -> dict[str, Any]:
    """Starts the app and lets so many people at it."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Workspace.open(Path(folder) / "workspace").root, free_port())
        app.start()
        told: list[tuple[float, str]] = []
        try:
            until = time.monotonic() + seconds
            threads = [
                threading.Thread(target=person, args=(app.url, until, pause, n, told))
                for n in range(people)
            ]
            for one in threads:
                one.start()
            for one in threads:
                one.join()
        finally:
            app.stop()
    times = sorted(seconds for seconds, trouble in told if not trouble)
    hundredths = statistics.quantiles(times, n=100)
    return {
        "people": people,
        "seconds": seconds,
        "pause_seconds": pause,
        "calls": len(told),
        "errors": dict(Counter(trouble for _, trouble in told if trouble)),
        "p50_seconds": round(hundredths[49], 3),
        "p99_seconds": round(hundredths[98], 3),
        "longest_seconds": round(times[-1], 3),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--pause", type=float, default=0.5, help="mean pause between two presses")
    options = parser.parse_args()
    print(json.dumps(measure(options.people, options.seconds, options.pause)))


if __name__ == "__main__":
    main()

"""How much later our first page comes than a bare six-tab Gradio app's.

`python -m tests.benchmarks.first_page [ROUNDS]` starts both in turn, several times in one run, and
measures from the start of the process to the first complete answer to `/`. It prints medians.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.running_app import free_port

ROOT = Path(__file__).parents[2]

BARE = """
import sys, gradio as gr
with gr.Blocks() as page, gr.Tabs():
    for name in ("Dataset", "Configure", "Train", "Monitor", "Evaluate", "Compare"):
        with gr.Tab(name):
            gr.Textbox()
page.launch(server_port=int(sys.argv[1]), quiet=True, share=False)
"""


def main(rounds: int) -> None:
    """Measures and prints."""
    seconds: dict[str, list[float]] = {"bare": [], "medqlora": []}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        for _ in range(rounds):
            port = free_port()
            seconds["bare"].append(_first_page([sys.executable, "-c", BARE, str(port)], port))
            port = free_port()
            ours = [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
            seconds["medqlora"].append(_first_page([*ours, "--workspace", str(workspace)], port))
    bare, ours_median = (statistics.median(seconds[name]) for name in ("bare", "medqlora"))
    for name, measured in seconds.items():
        print(name, [round(one, 2) for one in measured])
    print(f"median bare {bare:.2f} s, medqlora {ours_median:.2f} s: {ours_median - bare:+.2f} s")


def _first_page(command: Sequence[str], port: int) -> float:
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    answer.read()
                return time.monotonic() - begun
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, "the server ended"
                time.sleep(0.02)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)

"""The embedded model is unpacked once, whoever needs it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

UNPACK = """
import shutil, sys, time
from pathlib import Path
from medqlora.models import embedded

def convert(source, staging, on_progress):
    time.sleep(1.5)
    (staging / "made-by").write_text(sys.argv[2])

embedded._convert = convert  # the real one takes half a minute and 300 MB; the lock is what counts
embedded.packaged_gguf = lambda: Path("model.gguf")
folder = embedded.unpack(Path(sys.argv[1]), on_progress=lambda *_: None)
print((folder / "made-by").read_text())
"""


def test_two_processes_that_unpack_at_once_get_one_model(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", UNPACK, str(tmp_path), name],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    said = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert len(said) == 1
    assert not list(tmp_path.glob(".unpacking-*"))

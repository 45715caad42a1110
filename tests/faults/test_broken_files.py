"""Sixty broken or hostile files: each is one sentence, in bounded memory, and nothing else happens.

All are read in one process of their own, whose memory is measured and whose files are watched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.broken_files import ASKED, BROKEN, Content

ROOT = Path(__file__).parents[2]
MAX_GIB = 1.0

PROGRAM = """
import json, re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from medqlora.data.loader import MedicalDatasetLoader
from medqlora.errors import MedQLoRAError

folder = Path(sys.argv[2])
loader = MedicalDatasetLoader(scratch=folder / "scratch")
for path in sorted((folder / "files").iterdir()):
    said = {"file": path.name}
    try:
        loader.read(path)
    except MedQLoRAError as error:
        said |= {"code": error.code, "message": error.message, "hint": error.hint}
        said["columns"] = list(getattr(error, "columns", ()))
    status = Path("/proc/self/status").read_text()
    said["gib"] = int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 2**20
    print(json.dumps(said), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    said: dict[str, dict[str, object]]
    left: list[str]
    stderr: str


def bytes_of(content: Content) -> bytes:
    made = content if isinstance(content, str | bytes) else content()
    return made.encode() if isinstance(made, str) else made


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("broken")
    names = {}
    for part in ("files", "scratch", "home"):
        (folder / part).mkdir()
    for number, (name, (content, _)) in enumerate((BROKEN | ASKED).items()):
        names[f"{number:03}.xlsx"] = name
        (folder / "files" / f"{number:03}.xlsx").write_bytes(bytes_of(content))
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, str(ROOT), str(folder)],
        cwd=folder / "home",
        env={"HOME": str(folder / "home"), "TMPDIR": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for path in (folder / "files").iterdir():
        path.unlink()
    left = [
        str(path) for path in folder.rglob("*") if path.name not in ("files", "scratch", "home")
    ]
    return Outcome({names[line["file"]]: line for line in lines}, left, done.stderr)


@pytest.mark.parametrize(("name", "reason"), [(name, one[1]) for name, one in BROKEN.items()])
def test_it_is_refused_in_one_sentence_with_a_way_out(
    outcome: Outcome, name: str, reason: str
) -> None:
    said = outcome.said[name]
    assert said.get("code") == "data_error", said
    message, hint = str(said["message"]), str(said["hint"])
    assert reason in message
    assert message.endswith(".")
    assert hint.endswith(".")
    assert "\n" not in message + hint
    assert len(message) < 200


@pytest.mark.parametrize(("name", "columns"), [(name, one[1]) for name, one in ASKED.items()])
def test_what_is_no_clear_table_of_questions_is_asked_about(
    outcome: Outcome, name: str, columns: tuple[str, ...]
) -> None:
    said = outcome.said[name]
    assert said.get("code") == "mapping_needed", said
    assert not columns or said["columns"] == list(columns)


def test_nothing_is_left_written_or_run_and_nobody_sees_a_traceback(outcome: Outcome) -> None:
    assert outcome.left == []
    assert outcome.stderr == ""


def test_memory_stays_bounded(outcome: Outcome) -> None:
    used = {name: said["gib"] for name, said in outcome.said.items()}
    assert max(float(str(gib)) for gib in used.values()) < MAX_GIB, used

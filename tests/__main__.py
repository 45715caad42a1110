"""Run the tests: `python -m tests [pytest's arguments]`, on a machine with nothing but Python.

Installs what the project and its tests need, as `python app.py` does, then becomes pytest, with two
processes; `-n 0` makes it one, as a debugger needs it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app import guarded

TWO_AT_ONCE = ("-n", "2", "--dist", "loadfile")


def become_pytest() -> None:
    """Does not return: pytest takes this process's place, in the Python that has the packages."""
    from medqlora.colab.dependencies import DependencyInstaller

    DependencyInstaller(extra_files=(Path(__file__).parent / "requirements.txt",)).ensure()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *TWO_AT_ONCE, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(guarded(become_pytest))

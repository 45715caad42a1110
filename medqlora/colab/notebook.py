"""What the cells of `colab_launcher.ipynb` call around the page and the machine.

Installing, the machine in words, the workspace on Drive or not, the page in a frame, a file to
download. It runs on Colab, on a Colab that half works, and in any other notebook. The page itself
and the steps without it are `services.cells`'.

At the top it needs the standard library alone: the first cell runs before anything is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

from medqlora.colab.dependencies import DependencyInstaller
from medqlora.colab.python_environment import check_python, environment_kind
from medqlora.errors import NoGpuError, SessionError

DRIVE = Path("/content/drive")
MIRROR_ON_DRIVE = "medqlora-mirror"
FRAME_HEIGHT = "900"


def install() -> None:
    """Installs what is missing into the notebook's Python, with progress in the cell.

    Raises:
        DependencyError: This Python is too old or too new, or the packages could not be put there.
        SessionError: The notebook runs in the system's Python, which is left alone.
    """
    import sys

    check_python(sys.version_info[:2])
    if environment_kind() == "bare":
        raise SessionError(
            "This notebook runs in the system's own Python, where medqlora installs nothing.",
            hint="In a terminal, start the page with: python3 app.py. Or open this notebook from a "
            "virtual environment.",
        )
    DependencyInstaller().ensure()
    print("medqlora is installed. Go on with the next cell.")


def describe_machine() -> str:
    """The machine in words, what was chosen for it and why, and what to do without a GPU."""
    from medqlora.colab.resources import ColabResourceDetector

    detector = ColabResourceDetector()
    machine = detector.configure_environment()
    try:
        gpu = detector.detect_gpu()
        lines = [f"GPU: {gpu.name}, {gpu.total_gib:.1f} GiB."]
    except NoGpuError as error:
        lines = [
            error.message,
            error.hint,
            "A change of runtime is a new machine: run cell 1 anew.",
        ]
    lines.append(
        f"RAM: {machine.ram_gib:.1f} GiB. Free disk: {machine.free_disk_gib:.0f} GiB. "
        f"Processor cores: {machine.num_cpus}."
    )
    lines += [f"{one.name}: {one.value}. {one.reason}" for one in machine.choices]
    return "\n".join(lines)


def choose_workspace(folder: str, *, keep_on_drive: bool, mirror: str = "") -> Path:
    """Where runs, adapters and prepared data go, and where runs are copied to.

    The workspace is always on this machine: work goes on when Drive hangs or is gone.

    Args:
        folder: A folder of this machine.
        keep_on_drive: Whether runs are copied to the user's Google Drive, which asks for
            permission.
        mirror: Another place to copy them to, such as `s3://bucket/folder`; the environment may
            name one too.

    Raises:
        SessionError: There is no Drive here, or it could not be opened.
        StorageUnavailableError: The mirror's address is none, or needs a package.
    """
    from medqlora.persistence.storage_address import NO_MIRROR, VARIABLE, set_mirror
    from medqlora.persistence.workspace import Workspace

    place = str(_mounted_drive()) if keep_on_drive else mirror
    workspace = Workspace.open(Path(folder))
    address = set_mirror(workspace, place or os.environ.get(VARIABLE) or NO_MIRROR)
    print(f"Workspace: {workspace.root}. It is lost when this Colab session ends.")
    if address:
        print(
            f"Runs are copied to {address.label} in the background, with their data, checkpoints "
            "and adapters. The Train tab says up to which step they are safe."
        )
    if keep_on_drive:
        print("Drive passes files on with a delay of its own: wait before you close the session.")
    return workspace.root


def _mounted_drive() -> Path:
    """The folder of the mirror on the user's Drive, once that is mounted."""
    way_out = "Untick keep_on_drive, and save what you make with the last cell."
    try:
        from google.colab.drive import mount
    except ImportError as error:
        raise SessionError("Google Drive cannot be reached from here.", hint=way_out) from error
    try:
        mount(str(DRIVE))
    except (ValueError, OSError) as error:  # what Colab raises when permission is not given
        raise SessionError("Google Drive could not be opened.", hint=way_out) from error
    return DRIVE / "MyDrive" / MIRROR_ON_DRIVE


def show_frame(port: int) -> None:
    """Shows the page in a frame under the cell, where the notebook can."""
    try:
        from google.colab.output import serve_kernel_port_as_iframe
    except ImportError:
        print(
            "This notebook cannot show the page in a frame. On your own machine, open "
            f"http://127.0.0.1:{port}. On Colab, use the cells below, which need no page."
        )
        return
    serve_kernel_port_as_iframe(port, path="/", width="100%", height=FRAME_HEIGHT)


def offer_download(file: Path) -> None:
    """Hands a file to the browser, where the notebook can; says where it lies."""
    print(f"Saved: {file}")
    try:
        from google.colab.files import download
    except ImportError:
        print("It cannot be downloaded from here by itself: find it in the list of files.")
        return
    download(str(file))

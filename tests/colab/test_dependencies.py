from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medqlora.colab.dependencies import DependencyInstaller, describe, pip_steps
from medqlora.colab.pip_failures import failure
from medqlora.colab.pip_process import InstallProgress, run_pip
from medqlora.colab.python_environment import (
    check_disk_space,
    check_python,
    check_writable,
    free_mb,
    half_installed,
    has_nvidia_gpu,
    make_environment,
)
from medqlora.colab.requirements import InstallPlan, plan, read_requirements
from medqlora.errors import DependencyError

PROJECT = Path(__file__).parents[2]
FULL = read_requirements(PROJECT / "requirements.txt")
CPU = read_requirements(PROJECT / "requirements-cpu.txt")
NOWHERE = "http://127.0.0.1:9"


def everything(*, has_gpu: bool) -> InstallPlan:
    return plan({}, FULL if has_gpu else CPU, has_gpu=has_gpu)


def alone_with_an_index_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own pip settings would find packages elsewhere."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def run(arguments: list[str], *, log: Path, output: io.StringIO | None = None) -> int:
    progress = InstallProgress(output or io.StringIO(), names=["six"], site=log.parent)
    with log.open("w", encoding="utf-8") as file:
        return run_pip(arguments, progress=progress, log=file)


# --- what pip is asked to do


def test_torch_goes_first_and_by_the_cpu_index_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    step = next(pip_steps(everything(has_gpu=False), scratch=tmp_path))
    assert any("download.pytorch.org/whl/cpu" in one for one in step.attempt)
    assert not any("download.pytorch.org" in one for one in step.arguments)
    assert "torch==2.13.0" in step.attempt
    assert "torch==2.13.0" in step.arguments


def test_torch_comes_from_the_ordinary_index_on_a_machine_with_a_gpu(tmp_path: Path) -> None:
    step = next(pip_steps(everything(has_gpu=True), scratch=tmp_path))
    assert step.attempt == ()
    assert "torch==2.13.0" in step.arguments


def test_description_names_every_package_and_the_size_of_the_whole() -> None:
    wanted = everything(has_gpu=False)
    text = "\n".join(describe(wanted))
    assert all(name in text for name in wanted.names)
    assert f"{wanted.size.download_mb:,} MB to download" in text


def test_description_says_what_is_replaced() -> None:
    wanted = plan({"datasets": "4.0.0"}, CPU, has_gpu=False)
    assert "datasets==4.8.5, instead of 4.0.0" in "\n".join(describe(wanted))


# --- the machine


def test_this_test_run_found_every_package() -> None:
    extras = PROJECT / "tests" / "requirements.txt"
    assert DependencyInstaller(extra_files=(extras,)).check().is_complete


def test_both_engines_are_installed_for_the_tests_and_each_package_once() -> None:
    extras = PROJECT / "tests" / "requirements.txt"
    installer = DependencyInstaller(extra_files=(extras,))
    for file in ("requirements.txt", "requirements-cpu.txt"):
        names = [one.name for one in installer._requirements(file)]
        assert {"unsloth", "unsloth-zoo"} <= set(names)
        assert len(names) == len(set(names))


def test_check_of_a_complete_environment_takes_no_longer_than_a_few_starts_of_python() -> None:
    def seconds(work: Callable[[], object]) -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    def start_python() -> None:
        subprocess.run([sys.executable, "-c", ""], check=True)

    pairs = [(seconds(DependencyInstaller().check), seconds(start_python)) for _ in range(5)]
    checks, starts = zip(*pairs, strict=True)
    assert min(checks) < 4 * min(starts)


def test_installer_loads_no_third_party_package() -> None:
    code = (
        "import sys; before = set(sys.modules); import medqlora.colab.dependencies;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert done.stdout.strip() == "['medqlora']"


def test_machine_without_nvidia_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has an NVIDIA driver")
    monkeypatch.setenv("PATH", "")
    assert not has_nvidia_gpu()


def test_nvidia_smi_that_lists_a_device_means_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-0)'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert has_nvidia_gpu()


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_supported_python_is_accepted(version: tuple[int, int]) -> None:
    check_python(version)


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_other_python_is_refused_with_its_version(version: tuple[int, int]) -> None:
    with pytest.raises(DependencyError, match=f"this is Python 3.{version[1]}") as caught:
        check_python(version)
    assert "python3.12 app.py" in caught.value.hint


def test_full_disk_is_said_before_anything_is_downloaded() -> None:
    with pytest.raises(DependencyError, match=r"Not enough disk space.*287 MB are free"):
        check_disk_space(everything(has_gpu=False).size, environment_mb=287, temporary_mb=90_000)


def test_full_temporary_folder_is_told_from_a_full_disk() -> None:
    with pytest.raises(DependencyError, match="temporary files") as caught:
        check_disk_space(everything(has_gpu=False).size, environment_mb=90_000, temporary_mb=100)
    assert "TMPDIR" in caught.value.hint


def test_room_for_everything_is_no_error() -> None:
    check_disk_space(everything(has_gpu=True).size, environment_mb=90_000, temporary_mb=90_000)


def test_free_space_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert free_mb(tmp_path / "a" / "b") > 0


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="permission denied"):  # root may write all but this
        check_writable(tmp_path / "not there")


def test_package_whose_installation_was_cut_off_is_not_installed(tmp_path: Path) -> None:
    for name in ("whole-1.0.dist-info", "cut_off-1.0.dist-info"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "METADATA").write_text("Version: 1.0\n", encoding="utf-8")
    (tmp_path / "whole-1.0.dist-info" / "INSTALLER").write_text("pip\n", encoding="utf-8")
    assert list(half_installed(tmp_path)) == ["cut-off"]


# --- pip itself


def test_no_network_is_one_sentence_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone_with_an_index_that_is_not_there(monkeypatch)
    log = tmp_path / "log"
    code = run(["install", "--retries", "1", "--target", str(tmp_path), "six==1.17.0"], log=log)
    error = failure(code, log=log)
    assert error.message == "The packages could not be fetched: no package server answered."
    assert "internet connection" in error.hint
    assert str(log) in error.hint


def test_package_that_nobody_offers_is_told_from_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone_with_an_index_that_is_not_there(monkeypatch)
    log = tmp_path / "log"
    code = run(["install", "--no-index", "--target", str(tmp_path), "six"], log=log)
    assert "does not offer six" in failure(code, log=log).message


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left",
            "disk is full",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied",
            "denied",
        ),
        ("ERROR: Exception:\n  x\nReadTimeoutError: Read timed out.", "no package server"),
        ("ERROR: SSLError(CERTIFICATE_VERIFY_FAILED)\n", "certificate is not trusted"),
        ("ERROR: ResolutionImpossible: for help visit", "do not fit together"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "is damaged"),
        ("Retrying: NewConnectionError\nok\nerror: gcc failed\n", "error: gcc failed"),
        ("", "pip said nothing"),
    ],
)
def test_words_of_pip_become_a_sentence(tmp_path: Path, said: str, meant: str) -> None:
    log = tmp_path / "log"
    log.write_text(f"\n$ pip first\nERROR: No space left\n\n$ pip second\n{said}", encoding="utf-8")
    assert meant in failure(1, log=log).message


def test_progress_without_a_terminal_is_a_few_whole_lines(tmp_path: Path) -> None:
    output = io.StringIO()
    progress = InstallProgress(output, names=["trl", "peft"], site=tmp_path)
    progress.line("Collecting trl==1.14.2 (from -r r.txt (line 1))")
    progress.line("  Downloading trl-1.14.2-py3-none-any.whl (927 kB)")
    progress.line("Collecting peft==0.21.2")
    progress.line("Installing collected packages: trl, peft")
    progress.close()
    lines = [line.split("  ")[-1] for line in output.getvalue().splitlines()]
    assert lines == [
        "package 1 of 2: looking up trl",
        "package 2 of 2: looking up peft",
        "unpacking: 0 of 2 packages",
    ]


def test_progress_in_a_terminal_rewrites_one_line(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    output = Terminal()
    progress = InstallProgress(output, names=["trl"], site=tmp_path)
    progress.line("  Downloading trl-1.14.2-py3-none-any.whl (927 kB)")
    progress.close()
    assert "downloading trl 1.14.2, 927 kB" in output.getvalue()
    assert "\n" not in output.getvalue()


def test_interrupt_ends_pip_as_well(tmp_path: Path) -> None:
    code = (
        "import signal, sys, pathlib\n"
        # A background job of a shell inherits an interrupt that is ignored; a terminal does not.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from medqlora.colab.pip_process import InstallProgress, run_pip\n"
        "progress = InstallProgress(sys.stdout, names=['x'], site=pathlib.Path('.'))\n"
        "arguments = ['download', '--index-url', sys.argv[1], 'x']\n"
        "run_pip(arguments, progress=progress, log=sys.stderr)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = dict(os.environ, PIP_CONFIG_FILE=os.devnull, HTTP_PROXY="", http_proxy="")
        runner = subprocess.Popen(
            [sys.executable, "-c", code, url],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        connection, _ = silent.accept()
        runner.send_signal(signal.SIGINT)
        runner.communicate(timeout=120)
        connection.settimeout(60)
        connection.recv(4096)  # the request
        assert connection.recv(4096) == b""  # pip is gone: its end of the connection is closed
        connection.close()


@pytest.mark.slow
def test_environment_is_made_with_pip_and_again_over_a_broken_one(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/nonexistent/python")
    make_environment(folder)
    done = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "--version"], capture_output=True, check=False
    )
    assert done.returncode == 0

from __future__ import annotations

import os
import socket
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from medqlora.colab.python_environment import OLDEST_PYTHON
from medqlora.errors import SessionError

PROJECT = Path(app.__file__).parent


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start(*arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(PROJECT / "app.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("version", [(2, 7), (3, 8), (3, 10)])
def test_old_python_is_refused_in_plain_words(version: tuple[int, int]) -> None:
    message, way_out = app.refusal_of_python(version).split("\n")
    assert message == (
        f"medqlora needs Python 3.11, 3.12 or 3.13, and this is Python {version[0]}.{version[1]}."
    )
    assert "app.py" in way_out


def test_start_and_installer_agree_on_the_oldest_python() -> None:
    assert app.OLDEST_PYTHON == OLDEST_PYTHON
    assert app.refusal_of_python(OLDEST_PYTHON) == ""


def test_start_is_readable_for_python_3_8() -> None:
    source = (PROJECT / "app.py").read_text(encoding="utf-8")
    compile(source, "app.py", "exec", flags=0x400, _feature_version=8)  # 0x400: syntax alone


def test_port_in_use_is_two_lines_and_exit_code_2(taken_port: int) -> None:
    done = start("--port", str(taken_port), "--no-install")
    assert done.returncode == 2
    assert done.stdout == ""
    message, way_out = done.stderr.splitlines()
    assert message.startswith(f"Port {taken_port} is in use")
    assert f"--port {taken_port + 1}" in way_out


def test_free_port_is_accepted() -> None:
    app.check_port("127.0.0.1", free_port())


def test_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SessionError, match=r"cannot listen on the address 192\.0\.2\.1") as caught:
        app.check_port("192.0.2.1", 7860)
    assert "--host 127.0.0.1" in caught.value.hint


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_impossible_port_is_exit_code_2_without_traceback(port: str) -> None:
    done = start("--port", port)
    assert done.returncode == 2
    assert "a port is a number from 1 to 65535" in done.stderr
    assert "Traceback" not in done.stderr


def test_share_is_off_unless_asked_for() -> None:
    assert app.parse([]).share is False
    assert app.parse(["--share"]).share is True


def test_defaults_are_this_machine_only_and_a_folder_at_home() -> None:
    options = app.parse([])
    assert (options.host, options.port) == ("127.0.0.1", 7860)
    assert options.workspace == Path("~/medqlora-workspace")


def test_no_install_with_missing_packages_is_one_sentence(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    done = start(
        "--no-install", "--port", str(free_port()), python=str(tmp_path / "bare/bin/python")
    )
    assert done.returncode == 2
    message, way_out = done.stderr.splitlines()
    assert message.startswith("These Python packages are missing: torch, transformers")
    assert "without --no-install" in way_out


def test_missing_package_is_not_installed_without_a_network(tmp_path: Path) -> None:
    """The whole way: real start, real pip, an index that is not there."""
    venv.create(tmp_path / "bare", symlinks=True, with_pip=True)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [tmp_path / "bare/bin/python", PROJECT / "app.py", "--port", str(free_port())],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "medqlora will install" in done.stdout
    message, way_out = done.stderr.splitlines()
    assert message.startswith(("The packages could not be fetched", "The network's proxy refused"))
    assert "Full log: " in way_out
    assert "Traceback" not in done.stdout + done.stderr

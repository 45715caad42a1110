"""What was uploaded comes back byte for byte, or is refused."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.persistence.cloud import CloudStorageInterface


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.zip"
    path.write_bytes(bytes(range(256)) * 64)
    return path


@pytest.fixture
def storage(tmp_path: Path) -> CloudStorageInterface:
    return CloudStorageInterface("local", str(tmp_path / "storage"))


def test_a_file_goes_and_comes_back(
    storage: CloudStorageInterface, file: Path, tmp_path: Path
) -> None:
    stored = storage.upload_file(file, key="runs/first/adapter.zip")
    assert storage.list() == (stored,)
    assert storage.verify("runs/first/adapter.zip")
    back = storage.download(stored.key, tmp_path / "back.zip")
    assert back.read_bytes() == file.read_bytes()
    file.write_bytes(b"newer")
    assert storage.upload_file(file, key=stored.key).sha256 != stored.sha256
    assert len(storage.list()) == 1


def test_a_copy_that_was_damaged_is_noticed_and_not_given_back(
    storage: CloudStorageInterface, file: Path, tmp_path: Path
) -> None:
    storage.upload_file(file)
    (tmp_path / "storage" / "adapter.zip").write_bytes(b"half")
    assert not storage.verify("adapter.zip")
    with pytest.raises(PersistenceError, match="damaged"):
        storage.download("adapter.zip", tmp_path / "back.zip")
    assert not (tmp_path / "back.zip").exists()


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "", ".hidden", "a\\b", "x.sha256"])
def test_a_key_that_leaves_the_storage_is_refused(
    storage: CloudStorageInterface, file: Path, key: str
) -> None:
    with pytest.raises(PersistenceError, match="cannot be the name"):
        storage.upload_file(file, key=key)


def test_what_is_not_there_is_said(storage: CloudStorageInterface, tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="no file"):
        storage.verify("missing.zip")
    with pytest.raises(PersistenceError, match="no file"):
        storage.upload_file(tmp_path / "missing.zip")
    with pytest.raises(StorageUnavailableError, match="no storage called"):
        CloudStorageInterface("s4", "somewhere")


def test_a_drive_that_is_not_mounted_is_refused_instead_of_written_beside(tmp_path: Path) -> None:
    if any(os.path.ismount(one) for one in tmp_path.parents if one != Path("/")):
        pytest.skip("the temporary folder is a mount itself")
    with pytest.raises(StorageUnavailableError, match="not inside a mounted drive"):
        CloudStorageInterface("mounted", str(tmp_path / "drive"))
    assert not (tmp_path / "drive").exists()


def test_a_mounted_folder_keeps_files(file: Path) -> None:
    shared_memory = Path("/dev/shm")
    if not os.path.ismount(shared_memory):
        pytest.skip("this machine has no mount that may be written")
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        storage = CloudStorageInterface("mounted", folder)
        storage.upload_file(file)
        assert storage.verify("adapter.zip")

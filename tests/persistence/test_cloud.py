"""What was uploaded comes back byte for byte, or is refused."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest

from medqlora.errors import PersistenceError, StorageUnavailableError
from medqlora.persistence.cloud import CHUNK_BYTES, CloudStorageInterface, StoredFile
from medqlora.persistence.storage_address import StorageAddress, read_mirror, set_mirror
from medqlora.persistence.workspace import Workspace


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
    assert storage.sizes() == {"runs/first/adapter.zip": file.stat().st_size}
    assert storage.verify(stored)
    back = storage.download(stored, tmp_path / "back.zip")
    assert back.read_bytes() == file.read_bytes()
    file.write_bytes(b"newer")
    assert storage.upload_file(file, key=stored.key).sha256 != stored.sha256
    assert len(storage.sizes()) == 1
    storage.remove(stored.key)
    assert storage.sizes() == {}


def test_a_file_of_several_chunks_is_told_as_it_moves(tmp_path: Path) -> None:
    moved: list[None] = []
    storage = CloudStorageInterface(
        "local", str(tmp_path / "storage"), on_progress=lambda: moved.append(None)
    )
    big = tmp_path / "big"
    big.write_bytes(bytes(2 * CHUNK_BYTES + 5))
    stored = storage.upload_file(big)
    assert stored.size_bytes == 2 * CHUNK_BYTES + 5
    assert len(moved) > 6  # three chunks there and three back


@pytest.mark.parametrize("damage", [b"", b"half", b"x" * 16384, b"y" * 20000])
def test_a_copy_that_was_damaged_is_noticed_and_not_given_back(
    storage: CloudStorageInterface, file: Path, tmp_path: Path, damage: bytes
) -> None:
    stored = storage.upload_file(file)
    (tmp_path / "storage" / "adapter.zip").write_bytes(damage)
    assert not storage.verify(stored)
    with pytest.raises(PersistenceError, match="damaged"):
        storage.download(stored, tmp_path / "back.zip")
    assert not (tmp_path / "back.zip").exists()


def test_nothing_is_overwritten_by_what_comes_back(
    storage: CloudStorageInterface, file: Path, tmp_path: Path
) -> None:
    stored = storage.upload_file(file)
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(PersistenceError, match="there already"):
        storage.download(stored, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "", ".hidden", "a\\b", "a//b", "a\0b"])
def test_a_key_that_leaves_the_storage_is_refused(
    storage: CloudStorageInterface, file: Path, tmp_path: Path, key: str
) -> None:
    with pytest.raises(PersistenceError, match="cannot be the name"):
        storage.upload_file(file, key=key)
    foreign = StoredFile(key=key, size_bytes=1, sha256="0" * 64)
    with pytest.raises(PersistenceError, match="cannot be the name"):
        storage.download(foreign, tmp_path / "back")


def test_what_is_not_there_is_said(storage: CloudStorageInterface, tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match="missing in the storage"):
        storage.verify(StoredFile(key="missing.zip", size_bytes=1, sha256="0" * 64))
    with pytest.raises(PersistenceError, match="no file"):
        storage.upload_file(tmp_path / "missing.zip")
    with pytest.raises(StorageUnavailableError, match="no storage called"):
        CloudStorageInterface("s4", "somewhere")


def test_a_folder_whose_parent_is_gone_is_not_made_up(tmp_path: Path, file: Path) -> None:
    storage = CloudStorageInterface("local", str(tmp_path / "unmounted" / "medqlora"))
    assert storage.sizes() == {}
    with pytest.raises(StorageUnavailableError, match="is not there"):
        storage.upload_file(file)
    assert not (tmp_path / "unmounted").exists()


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
        stored = storage.upload_file(file)
        assert storage.verify(stored)
        assert storage.is_settled(stored.key)


def test_a_file_that_drive_still_passes_on_is_not_settled(
    storage: CloudStorageInterface, file: Path, tmp_path: Path
) -> None:
    stored = storage.upload_file(file)
    there = tmp_path / "storage" / stored.key
    try:
        os.setxattr(there, "user.drive.id", b"local-17")
    except OSError:
        pytest.skip("this disk knows no extended attributes")
    assert not storage.is_settled(stored.key)
    os.setxattr(there, "user.drive.id", b"1AbC")
    assert storage.is_settled(stored.key)


@pytest.mark.parametrize(
    ("address", "backend", "location", "label"),
    [
        ("/mnt/backup", "local", "/mnt/backup", "/mnt/backup"),
        ("file:///mnt/backup", "file", "/mnt/backup", "/mnt/backup"),
        ("/content/drive/MyDrive/m", "mounted", "/content/drive/MyDrive/m", "Drive"),
        ("memory://place/m", "fsspec", "memory://place/m", "memory://place/m"),
    ],
)
def test_an_address_names_a_storage(address: str, backend: str, location: str, label: str) -> None:
    parsed = StorageAddress.parse(address)
    assert parsed == StorageAddress(backend, location)
    assert parsed.label == label


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "neither a whole path nor a URL"),
        ("backup", "neither a whole path nor a URL"),
        ("s4://bucket", "no storage that this app can open"),
        ("s3://key:secret@bucket/x", "more than a place"),
        ("s3://bucket/x?key=secret", "more than a place"),
        ("simplecache::s3://bucket", "more than a place"),
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str, message: str) -> None:
    with pytest.raises(StorageUnavailableError, match=message) as refused:
        StorageAddress.parse(address)
    assert "secret" not in str(refused.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(
        "medqlora.persistence.fsspec_storage.find_spec",
        lambda name: None if name == "gcsfs" else known(name),
    )
    with pytest.raises(StorageUnavailableError, match="gs:// needs the Python package gcsfs") as no:
        StorageAddress.parse("gs://bucket/folder")
    assert no.value.hint.startswith("Install it with: pip install gcsfs==")


def test_the_workspace_keeps_its_mirror_until_it_is_switched_off(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set_mirror(workspace, None) is None
    assert set_mirror(workspace, str(tmp_path / "a")) == StorageAddress("local", f"{tmp_path}/a")
    assert set_mirror(workspace, None) == StorageAddress("local", f"{tmp_path}/a")
    monkeypatch.setenv("MEDQLORA_MIRROR", str(tmp_path / "b"))
    assert set_mirror(workspace, None) == StorageAddress("local", f"{tmp_path}/b")
    assert set_mirror(workspace, "off") is None
    monkeypatch.delenv("MEDQLORA_MIRROR")
    assert read_mirror(workspace) is None
    with pytest.raises(StorageUnavailableError, match="inside the workspace"):
        set_mirror(workspace, str(workspace.runs / "mirror"))
    workspace.settings.write_text("{")
    with pytest.raises(PersistenceError, match="settings cannot be read"):
        read_mirror(workspace)

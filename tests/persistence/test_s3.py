"""A mirror on S3, against a real S3 server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from medqlora.errors import MedQLoRAError, StorageUnavailableError
from medqlora.persistence.cloud import CloudStorageInterface
from medqlora.persistence.storage_address import StorageAddress, set_mirror
from medqlora.persistence.workspace import Workspace
from medqlora.runs.courier import Courier
from medqlora.runs.process import recorded_process
from medqlora.services import Services
from tests.mirrored_datasets import write_dataset
from tests.mirrored_runs import FakeRun, contents

SECRET = "canary-wJalrXUtnFEMI"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket, with its credentials where S3's own tools look for them."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7CANARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3 = s3fs.S3FileSystem(skip_instance_cache=True)
    if s3.exists("hospital"):
        s3.rm("hospital", recursive=True)
    s3.mkdir("hospital")
    return "s3://hospital/runs of today".replace(" ", "-")


def test_a_file_goes_and_comes_back(bucket: str, tmp_path: Path) -> None:
    storage = CloudStorageInterface("fsspec", bucket)
    file = tmp_path / "big"
    file.write_bytes(bytes(range(256)) * 4096 * 60)  # more than one part of a multipart upload
    stored = storage.upload_file(file, key="a/b/big")
    assert storage.sizes() == {"a/b/big": file.stat().st_size}
    assert storage.sizes("a/b") == storage.sizes()
    assert storage.sizes("a/bb") == {}
    back = storage.download(stored, tmp_path / "back")
    assert back.read_bytes() == file.read_bytes()
    storage.remove(stored.key)
    assert storage.sizes() == {}


def test_a_run_comes_back_on_a_new_machine_from_s3_alone(
    bucket: str, workspace: Workspace, tmp_path: Path
) -> None:
    address = StorageAddress.parse(bucket)
    run = FakeRun.begin(workspace)
    courier = Courier(workspace)
    for step in (10, 20, 30):
        run.save(step)
        pushed = courier.send("push", address, run.folder)
    assert (pushed["step"], pushed["is_settled"]) == (30, True)
    new = Workspace.open(tmp_path / "new-machine")
    [listed] = Courier(new).send("list", address)["runs"]
    assert (listed["id"], listed["step"], listed["outcome"]) == (run.run_id, 30, "")
    assert Courier(new).send("restore", address, run.folder)["step"] == 30
    name = "checkpoints/checkpoint-30"
    assert contents(new.runs / run.run_id / name) == contents(run.directory.path / name)


def test_datasets_come_back_on_a_new_machine_from_s3_alone(
    bucket: str, workspace: Workspace, tmp_path: Path
) -> None:
    services = Services.open(workspace.root, mirror=bucket)
    made = [write_dataset(workspace, name) for name in ("first-0001", "second-0002")]
    try:
        for one in made:
            kept = services.mirror.wait_until_dataset_safe(one.name, 120)
            assert kept is not None
            assert kept.message == f"Safe in {bucket}."
    finally:
        mirroring = recorded_process(workspace.mirror / "worker.json")
        if mirroring:
            mirroring.kill()
    new = Services.open(tmp_path / "new-machine", mirror=bucket)
    assert {one.dataset_id for one in new.mirror.contents().datasets} == {one.name for one in made}
    restored = new.mirror.restore_datasets()
    assert restored.message == "2 datasets are back."
    assert contents(new.workspace.datasets) == contents(workspace.datasets)


def test_no_credential_reaches_a_file_or_an_answer(
    bucket: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = set_mirror(workspace, bucket)
    assert address is not None
    run = FakeRun.begin(workspace)
    run.save(10)
    courier = Courier(workspace)
    courier.send("push", address, run.folder)
    answers = []
    for variable in ("AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        with monkeypatch.context() as broken:
            broken.delenv(variable)
            broken.setenv("AWS_EC2_METADATA_DISABLED", "true")
            broken.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
            with pytest.raises(MedQLoRAError) as refused:
                courier.send("list", address)
        answers.append(f"{refused.value} {refused.value.hint}")
    written = b"".join(contents(workspace.root).values())
    for secret in (SECRET, "AKIAIOSFODNN7CANARY"):
        assert secret.encode() not in written
        assert not any(secret in answer for answer in answers)


def test_a_bucket_that_is_not_there_is_said_and_not_made(bucket: str, workspace: Workspace) -> None:
    import s3fs

    run = FakeRun.begin(workspace)
    with pytest.raises(StorageUnavailableError, match="no such folder or bucket"):
        Courier(workspace).send("push", StorageAddress.parse("s3://hospitla/runs"), run.folder)
    assert not s3fs.S3FileSystem(skip_instance_cache=True).exists("hospitla")


def test_a_server_that_is_gone_is_said(bucket: str, workspace: Workspace, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    run = FakeRun.begin(workspace)
    with pytest.raises(StorageUnavailableError):
        Courier(workspace).send("push", StorageAddress.parse(bucket), run.folder)

"""Every adapter that is not plain is refused in less than two seconds, and nothing comes out.

The weights are those of a real adapter of the tiny model; each case changes one thing.
"""

from __future__ import annotations

import json
import pickle
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from medqlora.config.qlora import EMBEDDED_MODEL, TARGET_MODULES
from medqlora.domain.generation import GenerationSettings
from medqlora.errors import ModelError
from medqlora.services import Services
from medqlora.services.library import LibraryService

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
RANK, LAYERS = 4, 2
SIZES = {
    "q_proj": (64, 64),
    "k_proj": (64, 32),
    "v_proj": (64, 32),
    "o_proj": (64, 64),
    "gate_proj": (64, 128),
    "up_proj": (64, 128),
    "down_proj": (128, 64),
}
LIMIT_SECONDS = 2.0


def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    made = {}
    for layer in range(LAYERS):
        for module, (inputs, outputs) in SIZES.items():
            block = "mlp" if module in ("gate_proj", "up_proj", "down_proj") else "self_attn"
            place = f"base_model.model.model.layers.{layer}.{block}.{module}"
            made[f"{place}.lora_A.weight"] = random.normal(size=(RANK, inputs)).astype("f4")
            made[f"{place}.lora_B.weight"] = random.normal(size=(outputs, RANK)).astype("f4")
    return made


def config(**changes: Any) -> dict[str, Any]:
    plain = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": EMBEDDED_MODEL,
        "r": RANK,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "target_modules": list(TARGET_MODULES),
        "bias": "none",
        "auto_mapping": None,
        "megatron_core": "megatron.core",
        "rank_pattern": {},
    }
    return {**plain, **changes}


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


class Zip:
    """A zip file in the making."""

    def __init__(self, folder: Path) -> None:
        self.canary = folder / "canary"
        self.path = folder / "adapter.zip"
        self._archive = zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED)

    def add(self, name: str | zipfile.ZipInfo, content: bytes | str) -> Zip:
        self._archive.writestr(name, content)
        return self

    def plain(self, *, weights: bytes | None = None, **changes: Any) -> Zip:
        self.add(CONFIG, json.dumps(config(**changes)))
        return self.add(WEIGHTS, save(tensors()) if weights is None else weights)

    def closed(self) -> Path:
        self._archive.close()
        return self.path


def with_nan(value: float, kind: str = "f4") -> bytes:
    changed = {name: one.astype(kind) for name, one in tensors().items()}
    next(iter(changed.values()))[0, 0] = value
    return save(changed)


def reshaped(name_part: str, shape: tuple[int, int]) -> bytes:
    changed = tensors()
    name = next(one for one in changed if name_part in one)
    changed[name] = np.zeros(shape, "f4")
    return save(changed)


def with_header(change: Callable[[dict[str, Any]], None]) -> bytes:
    whole = save(tensors())
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


def renamed(archive: Zip, name: str) -> Zip:
    return archive.plain().add(name, b"x")


def link(archive: Zip) -> Zip:
    entry = zipfile.ZipInfo(CONFIG)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return archive.add(entry, "/etc/passwd").add(WEIGHTS, save(tensors()))


def bomb(archive: Zip) -> Zip:
    return archive.add(CONFIG, json.dumps(config())).add(WEIGHTS, bytes(300_000_000))


def many(archive: Zip) -> Zip:
    for number in range(100_000):
        archive.add(zipfile.ZipInfo(f"{number}"), b"")
    return archive


def twice(archive: Zip) -> Zip:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive.plain().add(CONFIG, json.dumps(config(target_modules="(.*)*X")))


def lying(archive: Zip) -> Zip:
    """Says that the weights are small, and they are not."""
    archive.plain()
    path = archive.closed()
    whole = path.read_bytes()
    size = len(save(tensors()))
    path.write_bytes(whole.replace(struct.pack("<L", size), struct.pack("<L", 100)))
    return archive


def cut(archive: Zip) -> Zip:
    path = archive.plain().closed()
    path.write_bytes(path.read_bytes()[:-40])
    return archive


def huge_header(archive: Zip) -> Zip:
    return archive.plain(weights=struct.pack("<Q", 2**62) + b"{}" + bytes(100))


def long_header(archive: Zip) -> Zip:
    text = b"{" + b" " * 30_000_000 + b"}"
    return archive.plain(weights=struct.pack("<Q", len(text)) + text)


def deep(archive: Zip) -> Zip:
    return archive.add(CONFIG, "[" * 60_000).add(WEIGHTS, save(tensors()))


def overlapping(header: dict[str, Any]) -> None:
    names = list(header)
    header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]


def beyond(header: dict[str, Any]) -> None:
    last = max(header, key=lambda one: header[one]["data_offsets"][0])
    header[last]["data_offsets"][1] += 10**12


TEMPLATE = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
ATTACKS: dict[str, Callable[[Zip], Zip]] = {
    "no zip": lambda archive: archive,
    "cut off": cut,
    "up": lambda archive: renamed(archive, "../outside.txt"),
    "up within": lambda archive: renamed(archive, f"a/../../{CONFIG}"),
    "absolute": lambda archive: renamed(archive, "/tmp/outside.txt"),
    "drive": lambda archive: renamed(archive, "C:\\outside.txt"),
    "backslash": lambda archive: renamed(archive, "..\\outside.txt"),
    "invisible": lambda archive: renamed(archive, f"{CONFIG}\u202e"),
    "link": link,
    "bomb": bomb,
    "many": many,
    "twice": twice,
    "twice in folders": lambda archive: renamed(archive, f"other/{CONFIG}"),
    "lying": lying,
    "nested": lambda archive: renamed(archive, "inner.zip"),
    "pickle": lambda archive: renamed(archive, "adapter_model.bin"),
    "optimizer": lambda archive: renamed(archive, "optimizer.pt"),
    "pickled weights": lambda archive: archive.plain(weights=pickle.dumps(Canary(archive.canary))),
    "code": lambda archive: renamed(archive, "modeling.py"),
    "template": lambda archive: archive.plain().add("chat_template.jinja", TEMPLATE),
    "tokenizer": lambda archive: renamed(archive, "tokenizer_config.json"),
    "model": lambda archive: archive.plain().add("config.json", '{"auto_map": {"a": "b"}}'),
    "pattern": lambda archive: archive.plain(target_modules="(.*)*X"),
    "patterns": lambda archive: archive.plain(target_modules=["(.*)*X"]),
    "no layers": lambda archive: archive.plain(target_modules=[]),
    "nested layers": lambda archive: archive.plain(target_modules=[["q_proj"]]),
    "auto_mapping": lambda archive: archive.plain(
        auto_mapping={"base_model_class": "a", "parent_library": "os"}
    ),
    "megatron": lambda archive: archive.plain(megatron_config={}, megatron_core="evil"),
    "auto_map": lambda archive: archive.plain(auto_map={"AutoModel": "evil.Model"}),
    "attention": lambda archive: archive.plain(_attn_implementation_internal="evil/kernel"),
    "pipelines": lambda archive: archive.plain(custom_pipelines={"a": {"impl": "evil.P"}}),
    "remote code": lambda archive: archive.plain(trust_remote_code=True),
    "rank pattern": lambda archive: archive.plain(rank_pattern={"(.*)*X": 8}),
    "layers pattern": lambda archive: archive.plain(layers_pattern="(.*)*X"),
    "saved modules": lambda archive: archive.plain(modules_to_save=["lm_head"]),
    "dora": lambda archive: archive.plain(use_dora=True),
    "other kind": lambda archive: archive.plain(peft_type="PROMPT_TUNING"),
    "other task": lambda archive: archive.plain(task_type="SEQ_CLS"),
    "true for a number": lambda archive: archive.plain(lora_alpha=True),
    "rank 0": lambda archive: archive.plain(r=0),
    "rank million": lambda archive: archive.plain(r=10**6),
    "rank text": lambda archive: archive.plain(r="8"),
    "rank other": lambda archive: archive.plain(r=8),
    "dropout": lambda archive: archive.plain(lora_dropout=2),
    "not a number": lambda archive: archive.plain(lora_dropout=float("nan")),
    "endless": lambda archive: archive.plain(lora_alpha=float("inf")),
    "deep": deep,
    "key twice": lambda archive: archive.add(CONFIG, '{"r": 4, "r": 8}').add(WEIGHTS, b""),
    "a list": lambda archive: archive.add(CONFIG, "[]").add(WEIGHTS, b""),
    "large config": lambda archive: archive.plain(revision="x" * 100_000),
    "revision list": lambda archive: archive.plain(revision=["main"]),
    "revision number": lambda archive: archive.plain(revision=1e308),
    "other base": lambda archive: archive.plain(base_model_name_or_path="evil/model"),
    "base path": lambda archive: archive.plain(base_model_name_or_path="../../etc"),
    "base link": lambda archive: archive.plain(base_model_name_or_path="https://evil.example/m"),
    "no base": lambda archive: archive.plain(base_model_name_or_path=None),
    "huge header": huge_header,
    "long header": long_header,
    "no weights": lambda archive: archive.plain(weights=b""),
    "nan": lambda archive: archive.plain(weights=with_nan(float("nan"))),
    "infinite": lambda archive: archive.plain(weights=with_nan(float("-inf"))),
    "nan in half": lambda archive: archive.plain(weights=with_nan(float("nan"), "f2")),
    "double": lambda archive: archive.plain(weights=with_nan(1.0, "f8")),
    "wrong input": lambda archive: archive.plain(weights=reshaped("q_proj.lora_A", (4, 65))),
    "wrong rank": lambda archive: archive.plain(weights=reshaped("q_proj.lora_A", (5, 64))),
    "layer missing": lambda archive: archive.plain(
        weights=save({k: v for k, v in tensors().items() if ".1." not in k})
    ),
    "one more": lambda archive: archive.plain(
        weights=save({**tensors(), "base_model.model.lm_head.weight": np.zeros((2, 2), "f4")})
    ),
    "overlapping": lambda archive: archive.plain(weights=with_header(overlapping)),
    "beyond": lambda archive: archive.plain(weights=with_header(beyond)),
    "longer": lambda archive: archive.plain(weights=save(tensors()) + b"\x80\x05more"),
    "entry text": lambda archive: archive.plain(
        weights=with_header(lambda header: header.update({next(iter(header)): "x"}))
    ),
}


@pytest.fixture
def library(services: Services) -> LibraryService:
    return services.library


def made(attack: str, folder: Path) -> tuple[Zip, Path]:
    archive = Zip(folder)
    path = ATTACKS[attack](archive).closed()
    if attack == "no zip":
        path.write_bytes(b"not a zip file at all" * 10)
    return archive, path


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_a_plain_adapter_is_refused_at_once_and_leaves_nothing(
    attack: str, tmp_path: Path, services: Services, library: LibraryService
) -> None:
    outside = tmp_path / "from-elsewhere"
    outside.mkdir()
    archive, path = made(attack, outside)
    before = set(tmp_path.rglob("*"))
    begun = time.perf_counter()
    with pytest.raises(ModelError) as refused:
        library.import_adapter(path)
    assert time.perf_counter() - begun < LIMIT_SECONDS
    assert refused.value.message.endswith(".")
    assert refused.value.hint
    assert set(tmp_path.rglob("*")) == before
    assert not archive.canary.exists()
    assert not Path("/tmp/outside.txt").exists()
    assert services.training.runs() == ()


def test_a_plain_adapter_comes_in_with_nothing_but_its_numbers(
    tmp_path: Path, services: Services, library: LibraryService
) -> None:
    archive = Zip(tmp_path).plain(inference_mode=True, revision=None)
    archive.add("README.md", "about").add("metadata.json", '{"model_name": "evil/model"}')
    run_id = library.import_adapter(archive.closed())
    [run] = services.training.runs()
    assert (run.run_id, run.model_name, run.has_adapter) == (run_id, EMBEDDED_MODEL, True)
    assert (run.state, run.can_resume) == ("succeeded", False)
    folder = services.training.directory(run_id).adapter
    assert sorted(one.name for one in folder.iterdir()) == [CONFIG, WEIGHTS, "metadata.json"]
    assert (folder / WEIGHTS).read_bytes() == save(tensors())
    assert json.loads((folder / CONFIG).read_text())["target_modules"] == list(TARGET_MODULES)
    assert "evil" not in (folder / "metadata.json").read_text()
    assert list(services.workspace.uploads.iterdir()) == []


def test_in_a_folder_of_the_archive_it_comes_in_as_well(
    tmp_path: Path, library: LibraryService
) -> None:
    archive = Zip(tmp_path).add("adapter/", b"")
    archive.add(f"adapter/{CONFIG}", json.dumps(config()))
    archive.add(f"adapter/{WEIGHTS}", save(tensors()))
    assert library.import_adapter(archive.closed())


def test_the_base_model_can_be_named_when_the_file_names_a_folder(
    tmp_path: Path, library: LibraryService
) -> None:
    path = Zip(tmp_path).plain(base_model_name_or_path="/home/somebody/model").closed()
    assert library.import_adapter(path, base_model=EMBEDDED_MODEL)


def test_an_imported_adapter_answers_in_compare(tmp_path: Path, services: Services) -> None:
    run_id = services.library.import_adapter(Zip(tmp_path).plain().closed())
    turns = [{"role": "user", "content": "What is asthma?"}]
    updates = list(
        services.chat.stream(
            run_id,
            base_turns=turns,
            tuned_turns=turns,
            settings=GenerationSettings(max_new_tokens=4),
        )
    )
    assert updates[-1].is_done
    assert updates[-1].tuned_tokens > 0

"""What processes that train together make sure of, each rule in processes that are really two."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from medqlora.errors import ConfigError
from medqlora.runs.process import PROJECT_ROOT
from medqlora.training.distributed import agreed, filled_up, is_main_process, is_peer_lost, join


def in_two_processes(body: str) -> str:
    """What both print when they run `body` after joining; `rank` is theirs."""
    code = f"""
import os
from medqlora.training.distributed import *
rank = int(os.environ["RANK"])
join(2)
{body}
leave()
"""
    program = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    done = subprocess.run(
        [sys.executable, *program, "--nproc-per-node=2", "--no-python", sys.executable, "-c", code],
        cwd=PROJECT_ROOT,
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_process_needs_nobody() -> None:
    join(1)
    assert is_main_process()
    assert agreed("as given") == "as given"
    assert not is_peer_lost(RuntimeError("[/gloo/pair.cc] Connection closed by peer"))


def test_another_number_of_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="asked for num_processes 2, and 3 were started"):
        join(2)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="4 processes on this machine, which has 2 GPUs"):
        join(4)


@pytest.mark.parametrize(("num_rows", "num_filled"), [(5, 8), (8, 8), (1, 8)])
def test_entries_are_filled_up_with_rows_that_count_nothing(
    monkeypatch: pytest.MonkeyPatch, num_rows: int, num_filled: int
) -> None:
    from datasets import Dataset

    rows = [{"input_ids": [i, 7, 9], "labels": [-100, 7, 9]} for i in range(num_rows)]
    monkeypatch.setenv("WORLD_SIZE", "4")
    filled = filled_up(Dataset.from_list(rows), per_device_batch_size=2)
    assert filled.to_list()[:num_rows] == rows
    assert len(filled) == num_filled
    assert all(set(row["labels"]) == {-100} for row in filled.to_list()[num_rows:])


def test_all_do_what_the_main_process_has_decided_and_the_same_adapter_is_made_sure_of() -> None:
    out = in_two_processes("""
import torch
from medqlora.errors import TrainingError

print(f"agreed {agreed(10 + rank)}")
with main_process_first():
    print(f"came {rank}", flush=True)
model = torch.nn.Linear(2, 2)
torch.nn.init.constant_(model.weight, 1.0)
torch.nn.init.constant_(model.bias, 0.0)
refuse_unequal(model)
torch.nn.init.constant_(model.bias, rank)
try:
    refuse_unequal(model)
except TrainingError as error:
    print(f"refused: {error.message}")
""")
    assert out.count("agreed 10") == 2
    assert out.index("came 0") < out.index("came 1")
    assert out.count("refused: The 2 processes ended with different adapters") == 2


def test_what_every_process_has_already_is_not_sent_around() -> None:
    out = in_two_processes("""
import torch
from types import SimpleNamespace
from torch.nn.parallel import DistributedDataParallel

model = torch.nn.ModuleDict({"frozen": torch.nn.Linear(2, 2), "trained": torch.nn.Linear(2, 2)})
model["frozen"].requires_grad_(False)
model["trained"].register_buffer("place", torch.zeros(1))
for one in (*model.parameters(), *model.buffers()):
    one.data.fill_(rank)
arguments = SimpleNamespace(n_gpu=2)
suit_to_processes(arguments, model)
DistributedDataParallel(model)
values = [int(model[one].weight[0, 0]) for one in ("frozen", "trained")]
print(f"process {rank}: {values} {int(model['trained'].place)} {arguments._n_gpu}")
""")
    assert "process 0: [0, 0] 0 1" in out
    assert "process 1: [1, 0] 1 1" in out


def test_one_after_the_other_loads_its_model_and_altered_weights_are_refused() -> None:
    out = in_two_processes("""
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
import torch
from medqlora.errors import ModelError
from medqlora.models.sharding import *

small = LlamaConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                    num_attention_heads=2, num_key_value_heads=2, vocab_size=32)
mesh = mesh_of_all()
with in_turn():
    print(f"begins {rank}", flush=True)
    torch.manual_seed(0)
    model = get_peft_model(LlamaForCausalLM(small), LoraConfig(r=2, target_modules=["q_proj"]))
    model.requires_grad_(False)
    for name, one in model.named_parameters():
        one.requires_grad = "lora_" in name
    whole = held_bytes(model)
    # Bit patterns that float32 calls NaN, as packed 4-bit weights have them.
    odd = model.get_base_model().model.layers[0].mlp.up_proj.weight
    patterns = torch.tensor([0x7FA00001, -1, 0x7FC0BEEF], dtype=torch.int32)
    odd.data.view(torch.int32)[0, :3] = patterns
    sums = shard(model, mesh)
    print(f"ends {rank}", flush=True)
refuse_altered(model, sums)
print(f"kept {held_bytes(model) / whole:.2f} of {whole_bytes(model) / whole:.2f}")
if rank == 1:
    next(iter(model.get_base_model().model.layers[1].parameters())).to_local().view(-1)[0] += 1
try:
    refuse_altered(model, sums)
except ModelError as error:
    print(f"refused: {error.message}")
""")
    assert [out.index(one) for one in ("begins 0", "ends 0", "begins 1", "ends 1")] == sorted(
        out.index(one) for one in ("begins 0", "ends 0", "begins 1", "ends 1")
    )
    assert out.count("kept 0.50 of 1.00") == 2
    assert out.count("refused: The model's weights came back different") == 2

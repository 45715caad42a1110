"""Training in several processes: who this one is, and how all of them do the same.

torchrun starts the processes (`runs.launcher` asks it to), and the engine's trainer shares out the
batches and averages the gradients (DDP); `models.sharding` shares out the weights of a model that
is larger than a card. What is left is here: that there are as many processes as
were asked for, that the main process decides and the others follow, that each entry is learned
from once an epoch, and that all end with the same adapter. With one process everything here is
immediate.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from medqlora.data.tokenizer import IGNORED_LABEL
from medqlora.errors import ConfigError, TrainingError

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftModel
    from torch import nn
    from trl import SFTConfig

PATIENCE = timedelta(hours=2)
"""How long a process waits for another one; the main one may be fetching a model meanwhile."""

T = TypeVar("T")


def world_size() -> int:
    """Processes that work together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_world_size() -> int:
    """Those of them on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this is the process that reports, saves and decides (rank 0)."""
    return os.environ.get("RANK", "0") == "0"


def join(num_processes: int) -> None:
    """Joins the processes that work together, and takes this one's GPU.

    Args:
        num_processes: How many the run was asked for.

    Raises:
        ConfigError: There are more or fewer, or the machine has too few GPUs for them.
    """
    if world_size() != num_processes:
        raise ConfigError(
            f"The run was asked for num_processes {num_processes}, and {world_size()} were "
            "started.",
            hint="Start it with `medqlora train` or `medqlora resume`, on every machine with the "
            "same PET_NNODES, or change num_processes.",
        )
    if num_processes == 1:
        return
    import torch
    from torch import distributed

    num_here, num_gpus = local_world_size(), torch.cuda.device_count()
    if 0 < num_gpus < num_here:
        raise ConfigError(
            f"The run was asked for {num_here} processes on this machine, which has {num_gpus} "
            f"GPU{'s' if num_gpus > 1 else ''}.",
            hint=f"Set num_processes to {num_gpus}: each process needs a GPU of its own.",
        )
    if num_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    else:
        # By itself accelerate would take cpu:0, cpu:1 and so on, onto which torch loads no
        # checkpoint.
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    # Gloo also where there are GPUs: what is decided is told without waiting for them.
    backend = "cpu:gloo,cuda:nccl" if num_gpus else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)


def leave() -> None:
    """Leaves those that work together, once all is done.

    What still listens when a process ends aborts it (exit code -6, now and then), and torchrun then
    ends the others too, the one that saves among them.
    """
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def suit_to_processes(arguments: SFTConfig, model: nn.Module) -> None:
    """Sets what the trainer has to know of processes and GPUs.

    Args:
        arguments: The training arguments.
        model: What will be trained; all processes have loaded the same.
    """
    arguments.ddp_find_unused_parameters = False  # every adapted layer is used in every pass
    # One process trains on one GPU; with more in sight the library would spread it by
    # DataParallel, which does not take 4-bit weights.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    if world_size() == 1:
        return
    from torch.nn.parallel import DistributedDataParallel

    # By itself DDP would send the frozen weights to every process that has them already, and hold
    # a copy of the largest ones meanwhile.
    frozen = [name for name, one in model.named_parameters() if not one.requires_grad]
    buffers = [name for name, _ in model.named_buffers()]
    ddp: Any = DistributedDataParallel
    ddp._set_params_and_buffers_to_ignore_for_model(model, [*frozen, *buffers])


def agreed(value: T) -> T:
    """What the main process has given, in every process."""
    if world_size() == 1:
        return value
    import torch
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
    return values[0]


def wait_for_all() -> None:
    """Goes on when every process has come here."""
    if world_size() == 1:
        return
    import torch
    from torch import distributed

    distributed.all_reduce(torch.zeros(1))


@contextmanager
def main_process_first() -> Iterator[None]:
    """The main process does it before the others: they find what it fetched or unpacked."""
    if not is_main_process():
        wait_for_all()
    yield
    if is_main_process():
        wait_for_all()


@contextmanager
def in_turn() -> Iterator[None]:
    """The processes of a machine do it one after the other, none before the one before is done."""
    place = int(os.environ.get("LOCAL_RANK", "0"))
    for _ in range(place):
        wait_for_all()
    yield
    for _ in range(local_world_size() - place):
        wait_for_all()


def filled_up(dataset: Dataset, *, per_device_batch_size: int) -> Dataset:
    """The dataset with rows added of which nothing is learned, so that all processes get as many.

    The trainer would give some entries twice instead. Rows without a label count nothing, because
    the loss is a sum over learned tokens divided by their number in all processes.

    Args:
        dataset: Rows of `input_ids` and `labels`.
        per_device_batch_size: Entries that one process takes at once.
    """
    missing = -len(dataset) % (per_device_batch_size * world_size())
    if world_size() == 1 or not missing:
        return dataset
    from datasets import Dataset, concatenate_datasets

    row = {"input_ids": dataset[0]["input_ids"][:2], "labels": [IGNORED_LABEL] * 2}
    return concatenate_datasets(
        [dataset, Dataset.from_list([row] * missing, features=dataset.features)]
    )


def refuse_unequal(model: PeftModel) -> None:
    """Makes sure that every process has the same adapter.

    Raises:
        TrainingError: One has another.
    """
    if world_size() == 1:
        return
    import torch
    from torch import distributed

    digest = hashlib.sha256()
    for weights in model.parameters():
        if weights.requires_grad:
            raw = weights.detach().cpu().contiguous().view(torch.uint8)
            digest.update(raw.numpy().tobytes())
    num_others = torch.tensor([int(agreed(digest.digest()) != digest.digest())])
    distributed.all_reduce(num_others)
    if num_others:
        raise TrainingError(
            f"The {world_size()} processes ended with different adapters, so none was saved.",
            hint="Resume goes on from the last checkpoint; if it happens again, train with "
            "num_processes 1 and report it.",
        )


def is_peer_lost(error: BaseException) -> bool:
    """Whether `error` came because another process is gone: what ended that one is the reason."""
    if world_size() == 1:
        return False
    from torch import distributed

    cause: Any = error
    while cause is not None:
        if isinstance(cause, distributed.DistError) or "/gloo/" in str(cause):
            return True
        cause = cause.__cause__
    return False

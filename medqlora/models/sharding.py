"""Shares out a model's frozen weights: each process keeps a part of every layer (FSDP).

A layer is whole only while it works: torch's `fully_shard` gathers it before and lets it go after.
What is trained is small and stays whole in every process, its gradients averaged as without
sharding (DDP), so that optimizer, checkpoints and adapters are the same files either way. So do
embeddings and output layer. Whether to share out is `sharding_choice`'s decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from medqlora.errors import ModelError

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import Tensor, nn
    from torch.distributed.device_mesh import DeviceMesh


def mesh_of_all() -> DeviceMesh:
    """All processes in a row; every one has to ask for it at the same time."""
    import torch
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return init_device_mesh(device, (distributed.get_world_size(),))


@contextmanager
def quantized_on(device: torch.device) -> Iterator[None]:
    """Weights of 4 bits that are loaded to the CPU are quantised on `device`, one after the other.

    A processor quantises some ten million weights a second and core, and torchrun gives a process
    one core: a model of 8 billion would take many minutes, in each process after the other.
    """
    from bitsandbytes import functional

    library: Any = functional
    original = library.quantize_4bit

    def there_and_back(weights: Tensor, *options: Any, **named: Any) -> tuple[Tensor, Any]:
        packed, state = original(weights.to(device), *options, **named)
        state.to("cpu")
        return packed.to("cpu"), state

    library.quantize_4bit = there_and_back
    try:
        yield
    finally:
        library.quantize_4bit = original


def shard(model: PeftModel, mesh: DeviceMesh) -> list[int]:
    """Keeps this process's part of every layer of `model`, on its device, and drops the rest.

    Needs no other process, so that they can do it one after the other: the whole model lies in RAM
    once and not once for each of them.

    Args:
        model: A model with an adapter, whole, on the CPU.
        mesh: What `mesh_of_all` gave.

    Returns:
        A sum over the bytes of each layer, for `refuse_altered`.

    Raises:
        ModelError: It is not known what the layers of this kind of model are.
    """
    from torch.distributed.fsdp import fully_shard

    device = _device(mesh)
    layers = _layers(model)
    sums = [_sum_of_bytes(one) for one in layers]
    trained = {one for one in model.parameters() if one.requires_grad}
    for layer in layers:
        # A layer lets go after every pass, so that all processes have let go of the same ones when
        # the one that saves looks at the weights.
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=trained)
    sharded = {one for layer in layers for one in layer.parameters()} - trained
    whole = {one for one in model.parameters() if one not in sharded}
    for one in (*whole, *model.buffers()):
        one.data = one.to(device).data
    fully_shard(model, mesh=mesh, ignored_params=whole)
    base: Any = model.get_base_model()
    base.hf_device_map = {"": device}  # accelerate asks where a 4-bit model lies
    return sums


def refuse_altered(model: PeftModel, sums: list[int]) -> None:
    """Gathers every layer once and makes sure that it is, byte by byte, what was shared out.

    4-bit weights travel as float numbers that they are not; a version of torch that tidied up the
    NaNs among them would train on another model and say nothing.

    Args:
        model: What `shard` was given; every process has to do this at the same time.
        sums: What `shard` returned.

    Raises:
        ModelError: A layer came back different.
    """
    for layer, expected in zip(_layers(model), sums, strict=True):
        sharded: Any = layer
        sharded.unshard()
        found = _sum_of_bytes(layer)
        sharded.reshard()
        if found != expected:
            raise ModelError(
                "The model's weights came back different after they were shared out over the "
                "processes, so nothing was trained.",
                hint="Set shard_weights to no, or use a model that fits one GPU, and report the "
                "versions of torch and bitsandbytes.",
            )


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard` has been done."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def held_bytes(model: nn.Module) -> int:
    """Bytes of the layers' frozen weights that this process holds."""
    return sum(_local(one).nbytes for layer in _layers(model) for one in _frozen(layer))


def whole_bytes(model: nn.Module) -> int:
    """Bytes of the layers' frozen weights in all processes together."""
    return sum(
        one.numel() * one.element_size() for layer in _layers(model) for one in _frozen(layer)
    )


def _layers(model: Any) -> list[nn.Module]:
    """The layers that transformers says must not be taken apart, in their order."""
    kinds = set(model.get_base_model()._no_split_modules or ())
    found = [one for one in model.modules() if _kind(one) in kinds]
    if not found:
        raise ModelError(
            "It is not known how to share out this kind of model over several processes.",
            hint="Set shard_weights to no, or choose a model such as Llama, Qwen or Mistral.",
        )
    return found


def _kind(module: nn.Module) -> str:
    """Name of a module's class; `fully_shard` gives it a class of the same name with a prefix."""
    return type(module).__name__.removeprefix("FSDP")


def _sum_of_bytes(layer: nn.Module) -> int:
    """The same for the same frozen bytes in the same places, on every device."""
    return sum(number * _weighted_sum(one) for number, one in enumerate(_frozen(layer), start=1))


def _frozen(layer: nn.Module) -> Iterator[Tensor]:
    named = sorted(layer.named_parameters(), key=lambda pair: pair[0])
    return (one for _, one in named if not one.requires_grad)


def _weighted_sum(weights: Tensor) -> int:
    import torch

    raw = weights.detach().contiguous().flatten().view(torch.int32)
    places = torch.arange(raw.numel(), device=raw.device)
    return int((raw * (2 * places + 1)).sum())


def _local(weights: Any) -> Tensor:
    from torch.distributed.tensor import DTensor

    return weights.to_local() if isinstance(weights, DTensor) else weights


def _device(mesh: DeviceMesh) -> torch.device:
    import torch

    if mesh.device_type == "cpu":
        return torch.device("cpu")
    return torch.device(mesh.device_type, torch.cuda.current_device())

"""Stands in for NVIDIA's `pynvml`: answers as the card named by $STAND_IN_GPU, or as no driver."""

import os
from types import SimpleNamespace

MIB = 2**20
# Name, memory in MiB as NVML reports it, compute capability.
CARDS = {
    "T4": ("Tesla T4", 15360, (7, 5)),
    "L4": ("NVIDIA L4", 23034, (8, 9)),
    "A100": ("NVIDIA A100-SXM4-40GB", 40960, (8, 0)),
    "H100": ("NVIDIA H100 80GB HBM3", 81559, (9, 0)),
}


class NVMLError(Exception):
    pass


def _card():
    card = CARDS.get(os.environ.get("STAND_IN_GPU", ""))
    if card is None:
        raise NVMLError("NVML Shared Library Not Found")
    return card


def nvmlInit():
    _card()


def nvmlDeviceGetHandleByIndex(index):
    return index


def nvmlDeviceGetName(handle):
    return _card()[0]


def nvmlDeviceGetMemoryInfo(handle):
    return SimpleNamespace(total=_card()[1] * MIB, used=0, free=_card()[1] * MIB)


def nvmlDeviceGetCudaComputeCapability(handle):
    return _card()[2]


def nvmlSystemGetDriverVersion():
    return "580.82.07"


def nvmlDeviceGetCount():
    return 1

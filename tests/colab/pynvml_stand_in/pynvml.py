"""Stands in for NVIDIA's `pynvml`: answers as the card named by $STAND_IN_GPU, as no
driver, or (`mismatch`) as one that was updated under a running system.
"""

import os
from types import SimpleNamespace

MIB = 2**20
# Name, memory in MiB as NVML reports it, compute capability.
CARDS = {
    "M60": ("Tesla M60", 8192, (5, 2)),
    "T4": ("Tesla T4", 15360, (7, 5)),
    "L4": ("NVIDIA L4", 23034, (8, 9)),
    "A100": ("NVIDIA A100-SXM4-40GB", 40960, (8, 0)),
    "H100": ("NVIDIA H100 80GB HBM3", 81559, (9, 0)),
}


class NVMLError(Exception):
    def __init__(self, text, value=12):
        super().__init__(text)
        self.value = value


def _card():
    if os.environ.get("STAND_IN_GPU") == "mismatch":
        raise NVMLError("RM has detected an NVML/RM version mismatch.", 18)
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

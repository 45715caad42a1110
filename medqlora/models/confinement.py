"""Confinement: what a process gives up for good before it reads what it does not trust.

It covers, by the kernel: connections, other programs, signals to and memory of other processes, and
more memory than it was allowed; where the kernel has Landlock (Linux 5.13), also writing anywhere
but in one folder. It does not cover reading files, computing, or a fault of the kernel itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

import psutil

_SET_PARENT_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 22, 38
_FILTER: Final = 2

# Numbers of the architecture and of system calls, as Linux gives them in linux/audit.h and
# asm/unistd.h: socket, connect, sendto and sendmsg; execve, execveat, fork and vfork; kill, ptrace,
# what reads and writes another process, and io_uring, which does all of it past a filter.
_REFUSED_CALLS: Final[Mapping[str, tuple[int, Sequence[int]]]] = {
    "x86_64": (
        0xC000003E,
        (41, 42, 44, 46, 59, 322, 57, 58, 62, 101, 310, 311, 424, 425, 426, 427, 438),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 203, 206, 211, 221, 281, 129, 117, 270, 271, 424, 425, 426, 427, 438),
    ),
}
_X32_CALLS: Final = 0x40000000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446
_BENEATH: Final = 1
_WRITING: Final = 1 << 1 | sum(1 << bit for bit in range(4, 13))
"""Landlock's rights to write files, and to make and remove files and folders of any kind."""


class ConfinementError(Exception):
    """The kernel, or this kind of processor, offers no way to give these things up."""


def confine(*, writable: Path, more_memory_bytes: int) -> None:
    """Gives it all up; there is no way back for this process.

    Args:
        writable: The only folder that it may still write in.
        more_memory_bytes: Address space beyond what it has now.

    Raises:
        ConfinementError: It cannot be had here.
    """
    _call(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    most = psutil.Process().memory_info().vms + more_memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _call(_SET_NO_NEW_PRIVILEGES, 1)
    _write_only_in(writable)
    _refuse_calls()


def _write_only_in(folder: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handled = ctypes.c_uint64(_WRITING)
    rules = libc.syscall(_CREATE_RULES, ctypes.byref(handled), 8, 0)
    if rules < 0:
        if ctypes.get_errno() in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return  # this kernel has no Landlock
        _refused()
    place = os.open(folder, os.O_PATH)
    beneath = ctypes.create_string_buffer(struct.pack("=Qi", _WRITING, place))
    if libc.syscall(_ADD_RULE, rules, _BENEATH, beneath, 0) or libc.syscall(_RESTRICT, rules, 0):
        _refused()
    os.close(place)
    os.close(rules)


def _refuse_calls() -> None:
    try:
        architecture, refused = _REFUSED_CALLS[platform.machine()]
    except KeyError:
        raise ConfinementError(f"No filter is known for {platform.machine()}.") from None
    steps = _filter(architecture, refused)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in steps))
    # struct sock_fprog: how many steps, and where they are.
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    handed_over = ctypes.create_string_buffer(program)
    _call(_SET_SECCOMP, _FILTER, ctypes.addressof(handed_over))


def _filter(architecture: int, refused: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """A classic BPF program: what to do, steps to skip if true and if false, and a number."""
    end = len(refused) + 1  # the steps from the first comparison to the refusal
    return [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 0, end + 2, architecture),
        (_LOAD, 0, 0, 0),
        (_IF_AT_LEAST, end, 0, _X32_CALLS),
        *((_IF_EQUAL, end - 1 - place, 0, number) for place, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]


def _call(option: int, *values: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(one) for one in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded):
        _refused()


def _refused() -> NoReturn:
    raise ConfinementError(os.strerror(ctypes.get_errno()))

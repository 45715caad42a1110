"""A folder that becomes a drive that misbehaves: a real FUSE file system, served or not."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

# The kernel's numbers of what it asks; see include/uapi/linux/fuse.h.
_LOOKUP, _FORGET, _INIT, _INTERRUPT = 1, 2, 26, 36
_EMPTY_FOLDER = {
    3: struct.pack("<QII6Q10I", 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, *[0] * 5),  # stat
    17: struct.pack("<5Q10I", *[10**6] * 5, 4096, 255, 4096, *[0] * 7),  # statfs
    _INIT: struct.pack("<IIIIHHIIHH8I", 7, 31, 0, 0, 8, 8, 4096, 1, *[0] * 10),
    27: struct.pack("<QII", 1, 0, 0),  # opendir
    28: b"",  # readdir
    29: b"",  # releasedir
}


class BadDrive:
    """A drive over `folder`, whose calls hang until `slow` or `vanish` is called.

    What is in the folder is there again after `unmount`.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fuse = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._fuse},rootmode=40000,user_id=0,group_id=0"
        if libc.mount(b"fuse", str(folder).encode(), b"fuse", 0, options.encode()):
            os.close(self._fuse)
            pytest.skip("mounting a drive needs the system's administrator")
        self._is_mounted = True

    def slow(self, seconds: float) -> None:
        """Answers from now on as an empty folder, each call after so long."""
        threading.Thread(target=self._serve, args=(seconds,), daemon=True).start()

    def vanish(self) -> None:
        """Every call, and those that wait, end with Errno 107: the drive's program died."""
        fuse, self._fuse = self._fuse, -1
        os.close(fuse)

    def unmount(self) -> None:
        if self._is_mounted:
            self._is_mounted = False
            subprocess.run(["umount", "-l", str(self._folder)], check=True)
        if self._fuse >= 0:
            self.vanish()

    def _serve(self, seconds: float) -> None:
        while True:
            try:
                asked = os.read(self._fuse, 2**20)
            except OSError:
                return  # unmounted
            _, opcode, unique = struct.unpack_from("<IIQ", asked)
            if opcode in (_FORGET, _INTERRUPT):
                continue
            if opcode != _INIT:
                time.sleep(seconds)
            body = _EMPTY_FOLDER.get(opcode, b"")
            missing = -errno.ENOENT if opcode == _LOOKUP else -errno.ENOSYS
            error = 0 if opcode in _EMPTY_FOLDER else missing
            try:
                os.write(self._fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)
            except OSError:
                continue  # whoever asked has gone

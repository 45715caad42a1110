import os

from google.colab import record


def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
    record("mount", mountpoint=mountpoint)
    if os.environ.get("COLAB_DRIVE_REFUSED"):
        raise ValueError("mount failed")

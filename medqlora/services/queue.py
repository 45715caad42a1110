"""QueueThread: starts the runs of the queue one after the other, while a server runs.

It asks again and again rather than being told, because whatever has the machine may be another
process: an evaluation, a chat, the command line.
"""

from __future__ import annotations

import logging
import threading

from medqlora.errors import GpuBusyError, MedQLoRAError
from medqlora.services.training import TrainingService

POLL_SECONDS = 1.0
STOP_SECONDS = 10.0

_log = logging.getLogger(__name__)


class QueueThread:
    """Looks after the queue from `start` to `stop`.

    Args:
        training: Whose queue it is.
    """

    def __init__(self, training: TrainingService) -> None:
        self._training = training
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="run-queue", daemon=True)

    def start(self) -> None:
        """Begins, with what was left in the queue by an earlier server."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; what waits stays in the queue. A folder that hangs is not waited for."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._is_over.wait(POLL_SECONDS):
            try:
                self._training.start_next()
            except GpuBusyError:
                continue  # its turn comes
            except (MedQLoRAError, OSError) as error:
                # A full disk, a folder that is away for a while: its turn comes as well.
                _log.info("The next run of the queue cannot start: %s", type(error).__name__)

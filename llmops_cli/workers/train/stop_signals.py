"""SIGTERM and SIGINT ask a run to save and end; a second one ends it at once."""

import os
import signal
import threading
import time
from types import FrameType

ASKED_TWICE_S = 1.0
"""A terminal and a launcher may both pass on one Ctrl-C: that is one wish."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Which signal asked for an end, if any did.

    A thread reads the wake-up pipe, because the main thread may be in a collective for long, where
    no Python handler runs.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None
        self._at_s = 0.0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, _wake)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _listen(self) -> None:
        while numbers := os.read(self._reader, 1):
            number = numbers[0]
            if number in SIGNALS:
                self._hear(signal.Signals(number))

    def _hear(self, number: signal.Signals) -> None:
        now_s = time.monotonic()
        if self.asked is None:
            self.asked = number
            self._at_s = now_s
        elif now_s - self._at_s > ASKED_TWICE_S:
            os._exit(128 + number)


def _wake(number: int, frame: FrameType | None) -> None:
    """Only with a handler is the pipe written to."""

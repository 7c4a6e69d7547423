"""What NVIDIA's cards of this machine are doing, read aside every few seconds.

A driver that hangs keeps its reader waiting, never who asks: what is old is told as nothing.
Standard library only.
"""

import math
import threading
import time

from _shared.nvml import CardReading, Nvml, NvmlError

EVERY_S = 5.0
STALE_S = 30.0
AGAIN_S = 120.0
"""A driver may not be ready when a machine starts, and a card that was lost may come back."""


class CardReadings:
    """Those of a moment ago. The reader begins with the first question."""

    def __init__(
        self,
        *,
        every_s: float = EVERY_S,
        stale_s: float = STALE_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self._every_s = every_s
        self._stale_s = stale_s
        self._again_s = again_s
        self._has_begun = False
        self._read: list[CardReading] = []
        self._read_at = -math.inf

    def now(self) -> list[CardReading]:
        """Empty at first, without cards, and where the driver has not answered for a while.

        Of one thread: that which answers.
        """
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._go_on, daemon=True, name="cards").start()
        is_fresh = time.monotonic() - self._read_at < self._stale_s
        return self._read if is_fresh else []

    def _go_on(self) -> None:
        while True:
            try:
                nvml = Nvml()
            except NvmlError:
                time.sleep(self._again_s)
                continue
            until = time.monotonic() + self._again_s
            while nvml.is_whole or time.monotonic() < until:
                self._read = nvml.readings()
                self._read_at = time.monotonic()
                time.sleep(self._every_s)
            nvml.close()

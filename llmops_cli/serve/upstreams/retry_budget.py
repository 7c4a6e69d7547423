"""How many retries there may be."""

from __future__ import annotations

BURST = 10.0


class RetryBudget:
    """A share of the requests, so that a failing upstream is not asked three times as often."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = BURST

    def request(self) -> None:
        self._left = min(BURST, self._left + self._share)

    def take(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True

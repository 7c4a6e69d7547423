"""How the KV cells are laid out: a share for each sequence, or one pool for all.

In a pool, attention of every token passes over everybody's cells, wanted or not: 64 streams of a
small model get a sixth of the tokens that they get with shares, 32 two thirds, 16 the same. But
only a pool gives a long request what short ones leave free. So many sequences begin with shares,
and change to a pool when one outgrows its share.
"""

import time
from collections.abc import Callable

from llamacpp.server.model import TokenModel

FEWEST_SEQUENCES = 24
"""With fewer, attention is a small part of a step, whatever it passes over."""
LEAST_SHARE = 512
"""Smaller shares would be outgrown by nearly every request."""
SHORT_FOR_S = 60.0
"""So long no request was long before the pool is divided again: each change costs all prefixes."""


def suits_shares(*, sequences: int, share: int) -> bool:
    """Whether so many sequences do better with so many cells each than with one pool."""
    return sequences >= FEWEST_SEQUENCES and share >= LEAST_SHARE


class CellLayout:
    """Decides it for one model; belongs to the scheduler's thread."""

    def __init__(
        self,
        model: TokenModel,
        *,
        sequences: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._clock = clock
        self._suits_shares = suits_shares(sequences=sequences, share=model.share)
        self._long_at = -SHORT_FOR_S

    def holds(self, tokens: int) -> bool:
        """Whether a sequence may have so many cells as they are laid out now."""
        return not self._model.is_divided or tokens <= self._model.share

    def must_change(self, longest: int, *, idle: bool) -> bool:
        """Whether the cells do not suit a request of so many tokens. `idle`: nothing runs."""
        now = self._clock()
        if longest > self._model.share:
            self._long_at = now
            return self._model.is_divided
        was_long = now - self._long_at < SHORT_FOR_S
        is_in_vain = self._model.is_divided or not self._suits_shares
        return idle and not was_long and not is_in_vain

    def change(self) -> None:
        """From the one to the other. All sequences must have been cleared."""
        self._model.divide(divided=not self._model.is_divided)

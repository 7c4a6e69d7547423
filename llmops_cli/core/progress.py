"""How long work tells what it does: one protocol for stages, sentences and warnings."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Whoever watches a run. The command line has bars and lines; tests have lists."""

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        """A stage is so far; `total` is 0 where nobody knows its length."""

    def say(self, text: str) -> None:
        """A sentence worth reading once."""

    def warn(self, text: str) -> None:
        """A sentence on what went otherwise than asked."""


class Silent:
    """Nobody watches."""

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        """Says nothing."""

    def say(self, text: str) -> None:
        """Says nothing."""

    def warn(self, text: str) -> None:
        """Says nothing."""

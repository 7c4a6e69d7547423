"""How long work tells what it does: one protocol for stages, sentences and warnings."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Whoever watches a run. The command line has bars and lines; tests have lists."""

    def update(
        self,
        stage: str,
        done: float,
        total: float = 0,
        note: str = "",
    ) -> None:
        """A stage is so far; `total` is 0 where nobody knows its length."""

    def say(self, text: str) -> None:
        """A sentence worth reading once."""

    def warn(self, text: str) -> None:
        """A sentence on what went otherwise than asked."""


def eta_words(left_s: float) -> str:
    """How long something takes yet, in the words of every command: ETA 0:12."""
    minutes, seconds = divmod(round(left_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"ETA {hours}:{minutes:02}:{seconds:02}"
    return f"ETA {minutes}:{seconds:02}"


class Silent:
    """Nobody watches."""

    def update(
        self,
        stage: str,
        done: float,
        total: float = 0,
        note: str = "",
    ) -> None:
        """Says nothing."""

    def say(self, text: str) -> None:
        """Says nothing."""

    def warn(self, text: str) -> None:
        """Says nothing."""


class Within:
    """The progress of one part of a longer work: its stages carry the part's name."""

    def __init__(self, progress: Progress, part: str) -> None:
        self._progress = progress
        self._part = part

    def update(
        self,
        stage: str,
        done: float,
        total: float = 0,
        note: str = "",
    ) -> None:
        """The stage, after the name of the part."""
        self._progress.update(f"{self._part}: {stage}", done, total, note)

    def say(self, text: str) -> None:
        """As it is."""
        self._progress.say(text)

    def warn(self, text: str) -> None:
        """As it is."""
        self._progress.warn(text)

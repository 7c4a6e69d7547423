"""What commands show: progress and words on stderr, data on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID
    from rich.table import Table

PLAIN_EVERY_S = 5.0


def say(text: str) -> None:
    """One line of words on stderr."""
    sys.stderr.write(f"{text}\n")


def console() -> Console:
    """Rich on stderr; wide enough for our tables where it is no terminal."""
    from rich.console import Console

    return Console(stderr=True, width=None if sys.stderr.isatty() else 180)


def show_table(table: Table) -> None:
    console().print(table)


def print_table(table: Table) -> None:
    """A table that is the command's result: on stdout."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else width_of(sys.stdout)).print(table)


def width_of(stream: TextIO) -> int:
    """Columns of a terminal, or what our widest table takes."""
    if not stream.isatty():
        return 180
    import shutil

    return shutil.get_terminal_size().columns


def print_json(report: object) -> None:
    """The report and nothing else, on stdout."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    sys.stdout.flush()


class Progress:
    """A bar on a terminal.

    Elsewhere a plain line when a stage begins, every few seconds, and at its end.
    """

    def __init__(self) -> None:
        self._bar: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeElapsedColumn,
            )
            from rich.progress import Progress as Bars

            self._bar = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=console(),
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """A line among the bars."""
        say(text)

    def warn(self, text: str) -> None:
        """A line among the bars."""
        say(text)

    def lines(self, stage: str, *, log: Callable[[str], None]) -> Callable[[str], None]:
        """For a tool that prints: its lines become the note of a stage that has no known length.

        Sentences of ours, which end in no tool's way, are said.
        """
        count = 0

        def on_line(line: str) -> None:
            nonlocal count
            count += 1
            if line.startswith(("creating environment", "environment ")):
                log(line)
            elif line.strip():
                self.update(stage, count, 0, line.strip()[:90])

        return on_line

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, total=total or None, note="")
            self._bar.update(self._tasks[stage], completed=done, total=total or None, note=note)
            return
        now = time.monotonic()
        last = self._said.get(stage)
        if last is None or now - last > PLAIN_EVERY_S or (total and done >= total):
            self._said[stage] = now
            share = f" {done / total:.0%}" if total else f" {done:.0f}"
            say(f"{stage}{share}{f', {note}' if note else ''}")

"""What commands show: progress and words on stderr, data on stdout."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TextIO

import msgspec

from llmops_cli.core.progress import eta_words
from llmops_cli.core.visible import visible
from llmops_cli.runtime import log_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_EVERY_S = 5.0
WIDEST_TABLE = 180
MOST_DIGITS = 6
"""Of a width that is asked for."""


def say(text: str, *, level: str = "info") -> None:
    """A line on stderr, with nothing in it that moves a cursor; JSON where that was chosen."""
    shown = visible(text)
    if log_lines.is_json():
        shown = log_lines.line_of(shown, level=level)
    sys.stderr.write(f"{shown}\n")


def console() -> Console:
    """Rich on stderr; wide enough for our tables where it is no terminal."""
    from rich.console import Console

    width = _fixed_width(sys.stderr)
    return Console(stderr=True, width=width)


def show_table(table: RenderableType) -> None:
    """A table beside the command's result: on stderr."""
    from llmops_cli.show.tables import never_cut

    console().print(never_cut(table))


def print_table(table: RenderableType) -> None:
    """A table that is the command's result: on stdout."""
    from rich.console import Console

    from llmops_cli.show.tables import never_cut

    width = _fixed_width(sys.stdout)
    Console(width=width).print(never_cut(table))


def print_kept(table: RenderableType, place: str) -> None:
    """The table of a run, and where it is kept: told also where the table cannot be shown."""
    try:
        print_table(table)
    finally:
        say(place)


def width_of(stream: TextIO) -> int:
    """Columns of a terminal, or what our widest table takes."""
    import shutil

    return _fixed_width(stream) or shutil.get_terminal_size().columns


def _fixed_width(stream: TextIO) -> int | None:
    """None for a terminal, which has its own width; elsewhere what COLUMNS asks for."""
    if stream.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    if len(asked) <= MOST_DIGITS and asked.isascii() and asked.isdigit() and int(asked) > 0:
        return int(asked)
    return WIDEST_TABLE


def print_json(report: object) -> None:
    """The report and nothing else, on stdout."""
    compact = msgspec.json.encode(report)
    text = msgspec.json.format(compact, indent=2)
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.flush()


def _bars() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(),
    )


class Begun(NamedTuple):
    """When a stage was first heard of, and how far it was."""

    at_s: float
    done: float


class TerminalProgress:
    """A bar on a terminal.

    Elsewhere a plain line when a stage begins, every few seconds, and at its end.
    """

    def __init__(self) -> None:
        self._bar: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        self._over: set[str] = set()
        self._begun: dict[str, Begun] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not log_lines.is_json():
            self._bar = _bars()
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
        say(text, level="warning")

    def update(
        self,
        stage: str,
        done: float,
        total: float = 0,
        note: str = "",
    ) -> None:
        note = note or self._eta(stage, done, total)
        if self._bar is not None:
            self._move(self._bar, stage, done, total or None, note)
        elif self._is_due(stage, done, total):
            share = f"{done / total:.0%}" if total else f"{done:.0f}"
            ending = f", {note}" if note else ""
            say(f"{stage} {share}{ending}")

    def _eta(
        self,
        stage: str,
        done: float,
        total: float,
    ) -> str:
        """Of a stage that says nothing itself, by how long it took so far."""
        now_s = time.monotonic()
        begun = self._begun.get(stage)
        if begun is None or done < begun.done:
            begun = Begun(now_s, done)
            self._begun[stage] = begun
        more = done - begun.done
        if more <= 0 or done >= total:
            return ""
        return eta_words((now_s - begun.at_s) / more * (total - done))

    def _move(
        self,
        bar: Bars,
        stage: str,
        done: float,
        total: float | None,
        note: str,
    ) -> None:
        if stage not in self._tasks:
            task = bar.add_task(stage, total=total, note="")
            self._tasks[stage] = task
        bar.update(
            self._tasks[stage],
            completed=done,
            total=total,
            note=note,
        )

    def _is_due(
        self,
        stage: str,
        done: float,
        total: float,
    ) -> bool:
        """When a stage begins, every few seconds, and once at its end."""
        now = time.monotonic()
        if total and done >= total:
            is_first = stage not in self._over
            self._over.add(stage)
            self._said.pop(stage, None)
            return is_first
        self._over.discard(stage)
        last = self._said.get(stage)
        if last is not None and now - last <= PLAIN_EVERY_S:
            return False
        self._said[stage] = now
        return True

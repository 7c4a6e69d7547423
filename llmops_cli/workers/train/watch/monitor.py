"""Looks at all ranks' heartbeats from a thread, and ends this one when another is dead or hangs.

The main thread then waits in a collective for somebody who will never come, so the thread itself
writes the error and leaves.
"""

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from _shared.protocol import JobError, fail_now
from train.ranks import Ranks
from train.settings import Settings
from train.watch.heartbeat import Beat, read_beats
from train.watch.logs import last_lines
from train.watch.memory import kills_for_memory, what_helps
from train.watch.peers import Fault, dead_rank, hung_rank

EVERY_S = 1.0
GRACE_S = 2.0
"""The main thread of a rank whose peer died mostly fails by itself, and knows more."""
PATIENCE_S = 3.0
POLL_EVERY_S = 0.1
WATCHERS_PER_NODE = 2
"""One that hangs itself cannot watch."""


class Monitor:
    """folder: where heartbeats and logs of all ranks are."""

    def __init__(self, folder: Path, ranks: Ranks, settings: Settings) -> None:
        self._folder = folder
        self._ranks = ranks
        self._settings = settings
        self._kills = kills_for_memory()
        self._ends = threading.Event()
        if ranks.local_rank < WATCHERS_PER_NODE:
            threading.Thread(target=self._watch, name="monitor", daemon=True).start()

    def end(self) -> None:
        self._ends.set()

    def dead(self) -> JobError | None:
        """The error for a rank that is dead now, if one is."""
        fault = dead_rank(self._others())
        return None if fault is None else self._error(fault)

    def dead_soon(self) -> JobError | None:
        """As `dead`, but a process that has just failed may take a moment to go.

        None at once if another rank has said goodbye: its own error is the one to tell.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while (error := self.dead()) is None and time.monotonic() < deadline_s:
            if any(beat.ended for beat in self._others()):
                return None
            time.sleep(POLL_EVERY_S)
        return error

    def _others(self) -> list[Beat]:
        beats = read_beats(self._folder, self._ranks.world_size)
        return [beat for beat in beats if beat.rank != self._ranks.rank]

    def _watch(self) -> None:
        while not self._ends.wait(EVERY_S):
            beats = read_beats(self._folder, self._ranks.world_size)
            hung = hung_rank(beats, self._settings.hang_timeout_s)
            if hung is not None:
                self._leave(hung, beats)
            if self.dead() is not None and not self._ends.wait(GRACE_S):
                error = self.dead()
                if error is not None:
                    self._write_and_exit(error)

    def _leave(self, fault: Fault, beats: list[Beat]) -> None:
        """Ends the guilty one if it is on this machine, then this one; launchers do the rest."""
        error = self._error(fault)
        for beat in beats:
            is_here = beat.host == socket.gethostname()
            is_other = beat.process != os.getpid()
            if beat.rank == fault.rank and is_here and is_other:
                with suppress(ProcessLookupError):
                    os.kill(beat.process, signal.SIGKILL)
        self._write_and_exit(error)

    def _write_and_exit(self, error: JobError) -> None:
        if not self._ends.is_set():
            fail_now(error)

    def _error(self, fault: Fault) -> JobError:
        hint = self._hint(fault)
        lines = last_lines(self._folder, fault.rank)
        if lines:
            hint = f"{hint}; its last lines:\n{lines}"
        return JobError("EngineFailed", fault.text, hint)

    def _hint(self, fault: Fault) -> str:
        if not fault.is_dead:
            return "look at its disk and network; the same command goes on from the last checkpoint"
        if kills_for_memory() > self._kills:
            return f"the kernel ended a process for lack of memory; {what_helps(self._settings)}"
        return "killed from outside, or crashed; the same command goes on from the last checkpoint"

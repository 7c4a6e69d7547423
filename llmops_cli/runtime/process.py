"""A supervised process: own group, captured log, measured memory, and a sure stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.report import Memory
from llmops_cli.runtime.files import cannot_write
from llmops_cli.runtime.kills import kills_for_memory
from llmops_cli.runtime.memory import MemoryMeter
from llmops_cli.runtime.paths import WORKERS

GRACE_S = 5.0
"""From TERM to KILL, where nobody says otherwise."""
BEYOND_GRACE_S = 3.0
"""For the guard itself."""
TAIL_BYTES = 16384


class Supervised:
    """Runs argv under workers/_shared/guard.py; nothing is left behind when stopped or killed.

    `{workers}` in argv stands for the folder of worker programs, so that specs hold no path of this
    machine.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log_path: Path,
        grace_s: float = GRACE_S,
    ) -> None:
        self.log_path = log_path
        self._grace_s = grace_s
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log = log_path.open("ab")
        except OSError as error:
            raise cannot_write(log_path, error) from error
        self._log_from = self._log.tell()
        argv = [part.replace("{workers}", str(WORKERS)) for part in argv]
        program = WORKERS / "_shared/guard.py"
        guard = [sys.executable, "-S", "-E", str(program), str(grace_s), *argv]
        try:
            self._guard = subprocess.Popen(
                guard,
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **env},
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise EnvironmentMissing(f"cannot start {argv[0]}: {error}") from error
        self._meter = MemoryMeter(self._guard.pid)
        self._kills_before = kills_for_memory()
        self.memory: Memory | None = None

    @property
    def pid(self) -> int:
        """The guard's pid; the engine is its only child."""
        return self._guard.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._guard.poll()

    def ending(self, code: int) -> str:
        """How it ended, in words."""
        return describe_exit(code, out_of_memory=kills_for_memory() > self._kills_before)

    def wait(self, timeout_s: float) -> int | None:
        try:
            return self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, first: signal.Signals = signal.SIGTERM) -> Memory:
        """Ends the whole group (`first`, then KILL after its grace) and returns the memory peaks.

        Safe to call twice.
        """
        if self.memory is None:
            self.memory = self._meter.stop()
            self._tell_guard(first)
            try:
                self._guard.wait(self._grace_s + BEYOND_GRACE_S)
            except subprocess.TimeoutExpired:
                self._kill()
            except KeyboardInterrupt:  # a second Ctrl-C: no more grace
                self._kill()
                raise
            finally:
                self._log.close()
        return self.memory

    def _tell_guard(self, first: signal.Signals) -> None:
        """The number of the signal, if it is another than usual, and the end of the pipe."""
        pipe = self._guard.stdin
        if pipe is None:
            return
        with suppress(BrokenPipeError):  # it has ended by itself
            if first is not signal.SIGTERM:
                pipe.write(bytes([first]))
            pipe.close()

    def _kill(self) -> None:
        """Whatever the guard started dies with it; it may have ended meanwhile."""
        with suppress(ProcessLookupError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()

    def has_said(self, pattern: str) -> bool:
        """Whether a line of its log, since it was started, holds the pattern."""
        with self.log_path.open("rb") as file:
            file.seek(self._log_from)
            text = file.read().decode(errors="replace")
        return re.search(pattern, text) is not None

    def log_tail(self, lines: int = 12) -> str:
        """The last non-empty log lines, for an error message or a run log."""
        try:
            with self.log_path.open("rb") as file:
                size_bytes = os.fstat(file.fileno()).st_size
                file.seek(max(0, size_bytes - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:  # someone cleans up around us
            return ""
        written = [line for line in text.splitlines() if line.strip()]
        return "\n".join(written[-lines:])


def describe_log(process: Supervised) -> str:
    """Where the log of a process is and how it ends."""
    tail = process.log_tail()
    place = f"its log is {process.log_path}"
    if not tail:
        return f"{place} (empty)"
    return f"{place}; it ends:\n{tail}"


def describe_exit(code: int, *, out_of_memory: bool = False) -> str:
    """`exit code 1`, `killed by SIGKILL`, or `killed by SIGKILL: out of memory`.

    The guard reports a signal as 128 + its number. `out_of_memory`: the kernel has ended a process
    meanwhile. Without that it was somebody's wish.
    """
    if code < 0:
        code = 128 - code
    if code <= 128:
        return f"exit code {code}"
    try:
        number = signal.Signals(code - 128)
    except ValueError:
        return f"exit code {code}"
    if number is signal.SIGKILL and out_of_memory:
        return f"killed by {number.name}: out of memory"
    return f"killed by {number.name}"

"""The process that makes grammars, from the side of the one that asks."""

import contextlib
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from _shared.grammar_making.frames import Kind, Message, read_message, write_message
from _shared.grammar_making.pieces import MachineReader
from _shared.grammar_making.tasks import GrammarTask
from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError, MakerEnded

WORKERS = Path(__file__).resolve().parents[2]
ARGV = (sys.executable, "-S", str(WORKERS), "_shared.grammar_making.program")
TRIES = 2
"""Somebody may have ended the process, which is no fault of the task."""
MOST_S = 60.0
"""Of a task. By its computing time the process ends itself long before."""

Process = subprocess.Popen[bytes]


class GrammarProcess:
    """Makes one grammar at a time. A task that ends the process hurts nobody else's answer."""

    def __init__(self, argv: Sequence[str] = ARGV) -> None:
        self._argv = argv
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._is_closed = False
        self._task: GrammarTask | None = None
        self._is_given_up = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Before it is needed: the first grammar waits for no start. Raises: OSError."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """Also while it makes something: whoever waits for that is told that it failed."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def give_up(self, task: GrammarTask) -> None:
        """Ends what is being made, if that is this very task: nobody waits for it any more."""
        if self._task is not task:
            return
        self._is_given_up = True
        process = self._process
        if process is not None:
            process.kill()

    def make(self, task: GrammarTask) -> Machine:
        """Raises: GrammarError; OSError if no process can be started."""
        with self._lock:
            self._is_given_up = False
            self._task = task
            try:
                return self._made(task)
            finally:
                self._task = None

    def _made(self, task: GrammarTask) -> Machine:
        """Raises: as above."""
        for _ in range(TRIES):
            if self._is_unwanted():
                break
            process = self._running()
            if self._is_unwanted():  # while it was started, when there was nothing to end
                break
            try:
                return asked(process, task)
            except (EOFError, BrokenPipeError):
                if self._end() == -signal.SIGPROF:
                    raise GrammarError("it takes too long to be made") from None
            except GrammarError:
                raise
            except BaseException:
                self._end()  # what it still says would be taken for the next answer
                raise
        raise MakerEnded("it ends what makes grammars")

    def _is_unwanted(self) -> bool:
        return self._is_closed or self._is_given_up

    def _running(self) -> Process:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        return self._process

    def _end(self) -> int | None:
        """How it has ended; None if there was none."""
        process = self._process
        self._process = None
        if process is None:
            return None
        process.kill()  # no signal reaches one that has ended by itself
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what nobody reads any more
                    stream.close()
        return process.wait()


def asked(process: Process, task: GrammarTask) -> Machine:
    """Raises: GrammarError; EOFError, BrokenPipeError if the process ends over it."""
    assert process.stdin is not None
    assert process.stdout is not None
    watchdog = threading.Timer(MOST_S, process.kill)
    watchdog.start()
    try:
        write_message(process.stdin, Message(Kind.TASK, pickle.dumps(task)))
        reader = MachineReader()
        while (message := read_message(process.stdout)).kind is Kind.PIECE:
            reader.add(message.content)
    finally:
        watchdog.cancel()
    if message.kind is Kind.REFUSED:
        raise GrammarError(message.content.decode())
    machine = reader.machine()
    _ = machine.start
    return machine

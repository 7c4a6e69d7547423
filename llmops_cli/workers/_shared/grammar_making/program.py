"""Makes grammars for another process, one after another, until that one ends.

Usage: python -S workers _shared.grammar_making.program. A task that takes too long ends it, and so
may one that takes too much memory: whoever asked starts another.
"""

import contextlib
import gc
import pickle
import resource
import signal
import sys
from typing import IO

from _shared.grammar_making.frames import Kind, Message, read_message, write_message
from _shared.grammar_making.here import made_here
from _shared.grammar_making.pieces import MachineWriter
from _shared.grammar_making.tasks import GrammarTask
from _shared.grammars.nodes import GrammarError

MOST_CPU_S = 8.0
MOST_BYTES = 2 << 30
"""Of addresses; the largest schemas take a tenth."""


def answer(task: GrammarTask, output: IO[bytes]) -> None:
    try:
        machine = made_here(task)
        for piece in MachineWriter(machine).pieces():
            write_message(output, Message(Kind.PIECE, piece))
    except GrammarError as error:
        write_message(output, Message(Kind.REFUSED, str(error).encode(errors="replace")))
    except RecursionError:
        write_message(output, Message(Kind.REFUSED, b"it is nested too deep"))
    except MemoryError:
        write_message(output, Message(Kind.REFUSED, b"it takes too much memory"))
    else:
        write_message(output, Message(Kind.DONE))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; stdin's end decides
    with contextlib.suppress(OSError, ValueError):  # not every system has such a limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    gc.disable()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            message = read_message(sys.stdin.buffer)
            task = pickle.loads(message.content)  # noqa: S301 - of our parent
            signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
            answer(task, sys.stdout.buffer)
            signal.setitimer(signal.ITIMER_PROF, 0)
            del task
            gc.collect()


if __name__ == "__main__":
    main()

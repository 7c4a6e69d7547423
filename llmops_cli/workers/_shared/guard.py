"""Runs a command in its own process group and ends the whole group when its own stdin closes.

The toolkit holds the other end of that pipe, so even kill -9 of the toolkit leaves no engine
behind. Usage: python -S -E guard.py GRACE_S ARGV...    TERM comes first, KILL after GRACE_S.
A byte in the pipe is the number of another signal that comes first.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], object] | None:
    """On Linux the command ends even if this program is killed with -9, which no pipe tells it."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class CommandGroup:
    """The command with all that it starts, in a process group of its own."""

    def __init__(self, argv: list[str], *, grace_s: float) -> None:
        self._grace_s = grace_s
        before_exec = die_with_parent()  # no thread runs yet, so preexec_fn is safe here
        self.command = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509
        )

    def end(self, first: int = signal.SIGTERM) -> None:
        if self._send(first):
            self._wait(self._grace_s)
            self._send(signal.SIGKILL)

    def _send(self, sig: int) -> bool:
        """False if the group is gone."""
        try:
            os.killpg(self.command.pid, sig)
        except ProcessLookupError:
            return False
        return True

    def _wait(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and self._lives():
            time.sleep(0.05)

    def _lives(self) -> bool:
        self.command.poll()  # reap, or the zombie leader keeps its group alive
        try:
            os.killpg(self.command.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def main() -> int:
    grace_s, *argv = sys.argv[1:]
    group = CommandGroup(argv, grace_s=float(grace_s))

    def wait_for_parent() -> None:
        first: int = signal.SIGTERM
        while told := os.read(0, 1):
            first = told[0]
        group.end(first)

    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)  # the pipe alone decides
    watcher = threading.Thread(target=wait_for_parent, daemon=True)
    watcher.start()
    code = group.command.wait()
    group.end()  # what the engine itself left behind
    if code < 0:  # by a signal
        return 128 - code
    return code


if __name__ == "__main__":
    sys.exit(main())

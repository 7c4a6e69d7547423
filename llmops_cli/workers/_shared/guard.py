"""Runs a command in its own process group and ends the whole group when its own stdin closes.

The toolkit holds the other end of that pipe, so even kill -9 of the toolkit leaves no engine
behind. Usage: python -S -E guard.py ARGV...
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


def main() -> int:
    before_exec = die_with_parent()  # no thread runs yet, so preexec_fn is safe here
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=before_exec,  # noqa: PLW1509
    )

    def end_group() -> None:
        for sig, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 0.0)):
            try:
                os.killpg(child.pid, sig)
            except ProcessLookupError:
                return
            wait_for_end(patience_s)

    def wait_for_end(patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and group_lives():
            time.sleep(0.05)

    def group_lives() -> bool:
        child.poll()  # reap, or the zombie leader keeps its group alive
        try:
            os.killpg(child.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def wait_for_parent() -> None:
        while os.read(0, 4096):
            pass
        end_group()

    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)  # the pipe alone decides
    threading.Thread(target=wait_for_parent, daemon=True).start()
    code = child.wait()
    end_group()  # what the engine itself left behind
    if code < 0:  # by a signal
        return 128 - code
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`llmops`, and `python -m llmops_cli`."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

SERVE = "serve"


def main() -> NoReturn:
    """The command line. Ctrl-C while it is being imported ends the process without a traceback."""
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:  # what was started in the background goes on not hearing it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:2] == [SERVE]:
        # A gateway's signal to read its file anew, which it has not read yet.
        signal.signal(signal.SIGHUP, lambda *_: None)
    from llmops_cli.cli.app import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()

"""The signals that ask a command for its end."""

from __future__ import annotations

import signal


def heard_endings() -> tuple[signal.Signals, ...]:
    """Without Ctrl-C where it is ignored already: a script's background job is not meant by it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return (signal.SIGINT, signal.SIGTERM)

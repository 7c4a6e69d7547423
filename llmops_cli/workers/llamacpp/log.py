"""What llama.cpp logs: the library has one callback a process."""

import ctypes
from collections import deque
from collections.abc import Callable

import llama_cpp

WARN = 3
ERROR = 4
KEPT = 20
SHOWN = 500


class LogCapture:
    """Keeps llama.cpp's newest warnings and errors; hands every line to `on_line`.

    The capture made last is the one that hears.
    """

    heard: "LogCapture"
    """Kept alive: the library has a bare pointer to its callback, and logs whenever it is used."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._problems: deque[str] = deque(maxlen=KEPT)
        self._on_line = on_line
        self._callback = llama_cpp.llama_log_callback(self._receive)
        nothing = ctypes.c_void_p(0)
        llama_cpp.llama_log_set(self._callback, nothing)
        LogCapture.heard = self

    def _receive(
        self,
        level: int,
        text: bytes,
        _user: object,
    ) -> None:
        line = text.decode(errors="replace")
        if level in (WARN, ERROR):
            self._problems.append(line.strip())
        if self._on_line is not None:
            self._on_line(line)

    def last(self, count: int = 3) -> str:
        """The newest problems, for an error message."""
        newest = [*self._problems][-count:]
        return " ".join(newest)[-SHOWN:]

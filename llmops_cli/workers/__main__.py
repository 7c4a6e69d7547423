"""Runs one worker by its dotted name: `python {workers} hf.server --port 8000`.

Python puts the folder of this file first on the path, so that `_shared.protocol`, `hf.text` and
the others are importable in whichever environment this is. Nothing else of the toolkit is.
"""

import gc
import os
import runpy
import sys

from _shared.protocol import die_with_launcher

SERVER = ".server"
IMPORTED_AT_ONCE = 50_000
"""Objects: looking for garbage among them is a fifth of the import of torch and Transformers."""
IMPORTED_MOST = 15
"""Times so many; what a program makes after that is looked at as usual."""


class RareGarbage:
    """Lets Python look for garbage rarely while a program imports, and as ever from then on."""

    def __init__(self) -> None:
        self._usual = gc.get_threshold()
        self._left = IMPORTED_MOST
        gc.set_threshold(IMPORTED_AT_ONCE)
        gc.callbacks.append(self._count)

    def _count(self, phase: str, _info: object) -> None:
        if phase != "stop":
            return
        self._left -= 1
        if self._left <= 0:
            gc.callbacks.remove(self._count)
            gc.set_threshold(*self._usual)


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python workers PROGRAM [ARGUMENT ...]    such as hf.server --help")
    RareGarbage()
    program = sys.argv.pop(1)
    if program.endswith(SERVER) and os.environ.get("LLMOPS_LOG_FORMAT") == "json":
        from _shared import log_lines

        log_lines.begin(program)  # before imports, which may have something to say
    if "--ranks" in sys.argv:
        die_with_launcher()  # before imports that take seconds
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

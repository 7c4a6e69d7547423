"""Runs one worker by its dotted name: `python {workers} hf.server --port 8000`.

Python puts the folder of this file first on the path, so that `_shared.protocol`, `hf.text` and
the others are importable in whichever environment this is. Nothing else of the toolkit is.
"""

import runpy
import sys

from _shared.protocol import die_with_launcher


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python workers PROGRAM [ARGUMENT ...]    such as hf.server --help")
    program = sys.argv.pop(1)
    if "--ranks" in sys.argv:
        die_with_launcher()  # before imports that take seconds
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

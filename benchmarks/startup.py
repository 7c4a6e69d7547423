"""CPU seconds of `llmops --help`, against an interpreter that does nothing."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys


def cpu_s(argv: list[str], rounds: int = 15) -> float:
    found = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)


if __name__ == "__main__":
    bare = cpu_s([sys.executable, "-c", "pass"])
    ours = cpu_s([sys.executable, "-m", "llmops_cli", "--help"])
    print(
        f"llmops --help: {ours * 1e3:.0f} ms CPU (median of 15), of which the interpreter "
        f"{bare * 1e3:.0f} ms"
    )

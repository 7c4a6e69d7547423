"""What a process and those below it take of this machine, by Linux' /proc. Standard library only.

Elsewhere there is nothing to read, and nothing is told.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

PROC = Path("/proc")
READ_MOST = 3
"""Times that all are read for one answer, while some of them end."""
UTIME = 11
CHILDREN_STIME = 14
RSS_PAGES = 21
"""Places in /proc/PID/stat behind the name, which may have spaces (man 5 proc_pid_stat)."""


@dataclass
class TreeUse:
    """All of them together. `cpu_seconds`: with those that ended and were waited for."""

    processes: int = 0
    resident_bytes: int = 0
    cpu_seconds: float = 0.0
    open_files: int = 0

    def add(self, other: "TreeUse") -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def tree_use(root: int) -> TreeUse:
    """Read anew where one ended meanwhile: its time would count twice, or not at all.

    A count that falls is one that began anew to Prometheus, which adds all of it to a rate.
    """
    found = TreeUse()
    for _ in range(READ_MOST):
        before = _tree(root)
        found = TreeUse()
        for pid in before:
            found.add(_use(pid))
        if _tree(root) == before:
            break
    return found


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:  # it grows meanwhile
        with suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _use(pid: int) -> TreeUse:
    """Nothing of one that has gone; one that nobody has waited for has no files, and its time."""
    found = TreeUse()
    place = PROC / str(pid)
    with suppress(OSError, ValueError, IndexError):
        words = (place / "stat").read_text().rpartition(")")[2].split()
        ticks = sum(map(int, words[UTIME : CHILDREN_STIME + 1]))
        found.resident_bytes = int(words[RSS_PAGES]) * os.sysconf("SC_PAGE_SIZE")
        found.cpu_seconds = ticks / os.sysconf("SC_CLK_TCK")
        found.processes = 1
    with suppress(OSError):
        found.open_files = len(list((place / "fd").iterdir()))
    return found

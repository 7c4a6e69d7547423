"""What the kernel has ended for lack of memory."""

from __future__ import annotations

from pathlib import Path

COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
"""Of this box if it has one, else of the machine. Each is made of lines of a name and a value."""


def kills_for_memory() -> int:
    """Processes so far, on this machine or in this box; 0 where the kernel does not tell."""
    for path in COUNTERS:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0

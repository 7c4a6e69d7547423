"""Which of the processes that have reserved something still live, in whatever container they are.

Each holds a lock that ends with it: numbers of processes are another container's too.
"""

from __future__ import annotations

import os
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.accounts.process_slots import ProcessSlots

FILE = "owners"


class Owners:
    """`mine` is this process's name: its slot, and what tells it from others that had the slot."""

    def __init__(self, folder: Path) -> None:
        """Raises: EnvironmentMissing."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._file = os.open(folder / FILE, flags, 0o600)
        except OSError as error:
            raise EnvironmentMissing(
                f"cannot keep budgets in {folder / FILE}: {error.strerror}",
                hint="move it away, or set LLMOPS_STATE_DIR",
            ) from error
        self._slots = ProcessSlots(self._file)
        pid = os.getpid()
        self.mine = f"{self._slots.mine}-{pid}-{_started(pid)}"

    def close(self) -> None:
        """Ends the lock of each that this process has there."""
        os.close(self._file)

    def is_alive(self, owner: str) -> bool:
        if owner == self.mine:
            return True
        slot, *others_name = owner.split("-")
        if len(others_name) != 2 or int(slot) == self._slots.mine:  # the slot is ours by now
            return False
        return self._slots.is_alive(int(slot))


def _started(pid: int) -> str:
    """When a process began, in the system's ticks; empty if that is not told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    after_name = stat.rpartition(")")[2]
    return after_name.split()[19]  # proc(5): field 22

"""Which of the processes that have reserved something still live, in whatever container they are.

Each holds a lock that ends with it: numbers of processes are another container's too.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.serve.accounts.process_slots import ProcessSlots, is_held

FILE = "owners"


class Owners:
    """Who reserves takes a slot; who only looks at budgets needs none."""

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
        self._slots: ProcessSlots | None = None

    def close(self) -> None:
        """Ends the lock of each that this process has there."""
        os.close(self._file)

    @cached_property
    def mine(self) -> str:
        """This process's name: its slot, and what tells it from others that had the slot.

        Raises: EnvironmentMissing if every slot is taken.
        """
        self._slots = ProcessSlots(self._file)
        return f"{self._slots.mine}-{_process(os.getpid())}"

    def is_alive(self, owner: str) -> bool:
        slot, _, process = owner.partition("-")
        if "-" not in process:  # of a gateway before slots
            return _process(int(slot)) == owner
        if self._slots is not None and int(slot) == self._slots.mine:
            return owner == self.mine  # the slot is ours by now
        return is_held(self._file, int(slot))


def _process(pid: int) -> str:
    """Its number, and what tells it from a later one with the same."""
    return f"{pid}-{_started(pid)}"


def _started(pid: int) -> str:
    """When a process began, in the system's ticks; empty if that is not told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    after_name = stat.rpartition(")")[2]
    return after_name.split()[19]  # proc(5): field 22

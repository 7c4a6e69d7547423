"""Which processes that share a file still live: each locks a byte of it for as long as it does."""

from __future__ import annotations

import fcntl

from llmops_cli.core.errors import EnvironmentMissing

SLOTS = 64


class ProcessSlots:
    """`mine` is this process's. The file's contents have a lock of another kind: flock."""

    def __init__(self, file: int) -> None:
        """Raises: EnvironmentMissing if every slot is taken."""
        self._file = file
        self.mine = self._first_free()

    def is_alive(self, slot: int) -> bool:
        return slot == self.mine or is_held(self._file, slot)

    def _first_free(self) -> int:
        for slot in range(SLOTS):
            if _locks(self._file, slot):
                return slot
        raise EnvironmentMissing(
            f"{SLOTS} gateways share this state already",
            hint="set another LLMOPS_STATE_DIR",
        )


def is_held(file: int, slot: int) -> bool:
    """By another process."""
    if not _locks(file, slot):
        return True
    fcntl.lockf(file, fcntl.LOCK_UN, 1, slot)
    return False


def _locks(file: int, slot: int) -> bool:
    """Whether nobody else had the slot; then it is ours."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
    except OSError:
        return False
    return True

"""Finds a rank that is dead or hangs, and says which, what it last did, and for how long.

Pure, but for looking whether a process of this machine lives.
"""

import os
import pathlib
import socket
from collections.abc import Sequence
from typing import NamedTuple

from train.watch.heartbeat import Beat

DEAD_AFTER_S = 15.0
"""Without a sign of life from another machine, whose processes we cannot look at."""
STILL_AFTER_S = 5.0
"""A process whose thread does not touch its file any more stands still as a whole."""
ORDER = ("start", "load", "rows", "sums", "gradients", "update", "evaluate", "save", "export")
"""Phases as they follow one another: who is behind is waited for."""


LONG = ("start", "load", "save", "export")
LONGER = 6


class Fault(NamedTuple):
    """A rank that ends the run. `is_dead`: its process is gone."""

    rank: int
    is_dead: bool
    text: str


def dead_rank(beats: Sequence[Beat]) -> Fault | None:
    for beat in beats:
        if not beat.ended and _is_gone(beat):
            text = (
                f"rank {beat.rank} (process {beat.process} on {beat.host}) died in {beat.doing()}"
            )
            return Fault(beat.rank, is_dead=True, text=text)
    return None


def _is_gone(beat: Beat) -> bool:
    if beat.host != socket.gethostname():
        return beat.beat_s > DEAD_AFTER_S
    try:
        os.kill(beat.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _is_zombie(beat.process)


def _is_zombie(process: int) -> bool:
    """Dead, and its launcher has not looked yet."""
    try:
        with pathlib.Path(f"/proc/{process}/stat").open(encoding="ascii", errors="replace") as file:
            _, _, rest = file.read().rpartition(")")
    except OSError:
        return False
    return rest.split()[:1] == ["Z"]


def hung_rank(beats: Sequence[Beat], timeout_s: float) -> Fault | None:
    """The one that all others wait for, once nobody has done anything for `timeout_s`."""
    going = [beat for beat in beats if not beat.ended]
    if not going or any(beat.since_s < _patience_s(beat, timeout_s) for beat in going):
        return None
    guilty = min(going, key=_progress)
    standing = ""
    if guilty.beat_s > STILL_AFTER_S:
        standing = f"; its process has stood still for {guilty.beat_s:.0f} s"
    text = (
        f"rank {guilty.rank} (process {guilty.process} on {guilty.host}) hangs:"
        f" in {guilty.doing()} for {guilty.since_s:.0f} s{standing}"
    )
    alike = [beat for beat in going if _progress(beat) == _progress(guilty)]
    if len(alike) > 1:
        others = ", ".join(str(beat.rank) for beat in alike if beat.rank != guilty.rank)
        text += f"; so are ranks {others}"
    return Fault(guilty.rank, is_dead=False, text=text)


def _patience_s(beat: Beat, timeout_s: float) -> float:
    """All files of a large model are read, or written, in one phase."""
    return timeout_s * (LONGER if beat.phase in LONG else 1)


def _progress(beat: Beat) -> tuple[bool, int, int]:
    """Less is earlier: a process that stands still, then the one that is behind."""
    phase = ORDER.index(beat.phase) if beat.phase in ORDER else len(ORDER)
    return beat.beat_s <= STILL_AFTER_S, beat.step, phase

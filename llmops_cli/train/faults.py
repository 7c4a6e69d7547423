"""What became of ranks that ended without a word: their last heartbeat, and the kernel's count."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.kills import kills_for_memory

SMALLER = (
    "a larger --accumulate, --activation-checkpointing full, --strategy fsdp over more processes; "
    "--dry-run shows what each strategy needs"
)
RESUMES = "the same command goes on from the last checkpoint"


class Beat(msgspec.Struct, frozen=True):
    """What a rank was doing when it last told (workers/train/watch/heartbeat.py)."""

    rank: int
    step: int
    phase: str
    ended: bool


def last_beats(logs: Path) -> list[Beat]:
    """Of ranks that did not say goodbye."""
    beats = []
    for path in sorted(logs.glob("rank-*.heartbeat")):
        try:
            beat = msgspec.json.decode(path.read_bytes(), type=Beat)
        except (OSError, *UNREADABLE):
            continue
        if not beat.ended:
            beats.append(beat)
    return beats


def explained(error: EngineFailed, logs: Path, *, kills_before: int) -> EngineFailed:
    """The error of a job whose ranks left none, with what they did last and what helps."""
    words = [
        f"rank {beat.rank} was in {beat.phase} of step {beat.step}" for beat in last_beats(logs)
    ]
    message = "; ".join([error.message, *words])
    hint = RESUMES
    if kills_for_memory() > kills_before:
        message = f"{message}; the kernel ended a process for lack of memory"
        hint = f"{SMALLER}; {RESUMES}"
    return EngineFailed(message, hint="\n".join(filter(None, [hint, error.hint])))

"""What the gateway and its judges tell each other: a length, then a pickled object.

Both ends are ours, and the pipe between them is nobody else's.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

_LENGTH = struct.Struct("<Q")


class Task(NamedTuple):
    """A function of a module, and what it is called with."""

    function: Callable[..., Any]  # Any: each has its own
    arguments: tuple[Any, ...]


class JudgingOutcome(NamedTuple):
    """What came of it: a result, or an error that is to be raised.

    `is_last`: whoever sends it has grown, and makes room for another.
    """

    result: Any = None  # Any: the function's
    error: Exception | None = None
    is_last: bool = False


def frame_of(value: Task | JudgingOutcome) -> tuple[bytes, bytes]:
    """To be written one after the other. Raises: RecursionError for what is nested too deep."""
    raw = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(raw)), raw


def read_task(pipe: BinaryIO) -> Task | None:
    """The next; None at the end."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    raw = pipe.read(_LENGTH.unpack(head)[0])
    task: Task = pickle.loads(raw)  # noqa: S301  from the gateway that started us
    return task


async def read_outcome(pipe: asyncio.StreamReader) -> JudgingOutcome:
    """Raises: asyncio.IncompleteReadError at the end."""
    head = await pipe.readexactly(_LENGTH.size)
    raw = await pipe.readexactly(_LENGTH.unpack(head)[0])
    await asyncio.sleep(0)  # to take apart what is long is a step of its own
    outcome: JudgingOutcome = pickle.loads(raw)  # noqa: S301  from a judge that we started
    return outcome

"""Messages between the process that asks for grammars and the one that makes them."""

import struct
from enum import IntEnum
from typing import IO, NamedTuple

HEAD = struct.Struct(">BI")


class Kind(IntEnum):
    TASK = 0
    PIECE = 1
    DONE = 2
    REFUSED = 3


class Message(NamedTuple):
    """`content`: a task or a piece as pickled, the reason of a refusal as text."""

    kind: Kind
    content: bytes = b""


def write_message(stream: IO[bytes], message: Message) -> None:
    """Raises: OSError where nobody reads any more."""
    stream.write(HEAD.pack(message.kind, len(message.content)) + message.content)
    stream.flush()


def read_message(stream: IO[bytes]) -> Message:
    """Raises: EOFError where the other side has ended."""
    kind, size = HEAD.unpack(_exactly(stream, HEAD.size))
    return Message(Kind(kind), _exactly(stream, size))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found

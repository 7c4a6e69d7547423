"""What readers of calls find in a text."""

import uuid
from typing import NamedTuple, Protocol

LONGEST_HEAD = 4_000
"""Characters in which a call must have said its name."""


class Content(NamedTuple):
    """Text that is no call."""

    text: str


class Thought(NamedTuple):
    """Text that the model writes for itself."""

    text: str


class CallBegin(NamedTuple):
    number: int
    call_id: str
    name: str


class Arguments(NamedTuple):
    """The next part of a call's arguments, as JSON text."""

    number: int
    text: str


ToolEvent = Content | Thought | CallBegin | Arguments


class Reader(Protocol):
    """Finds calls of one form."""

    @property
    def calls(self) -> int: ...

    @property
    def is_in_arguments(self) -> bool:
        """The last call is not whole."""

    def feed(self, text: str) -> list[ToolEvent]: ...

    def finish(self) -> list[ToolEvent]:
        """What was held back."""


def new_call_id() -> str:
    """Nine letters and digits: Mistral's templates take no other length."""
    return uuid.uuid4().hex[:9]


def common_end(text: str, opening: str) -> int:
    """Length of the longest end of `text` that begins `opening`."""
    longest = min(len(text), len(opening) - 1)
    for length in range(longest, 0, -1):
        if opening.startswith(text[len(text) - length :]):
            return length
    return 0

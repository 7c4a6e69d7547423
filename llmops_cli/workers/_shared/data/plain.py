"""Plain texts, and where one document in a file of them ends."""

from collections.abc import Iterator
from pathlib import Path

from _shared.rows import text_of

DOCUMENT_END = b"<|endoftext|>"
"""Alone in a line of a text file, it divides documents."""


def documents_in(path: Path) -> Iterator[str]:
    """The texts of a file, as training divides them. Raises: JobError for what is no UTF-8."""
    first, *others = text_of(path).split(DOCUMENT_END.decode())
    yield first
    for text in others:
        yield text.removeprefix("\r").removeprefix("\n")

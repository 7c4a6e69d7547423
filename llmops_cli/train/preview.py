"""Samples as text, what is learned of them marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Segment = tuple[str, bool]
"""A piece of text, and whether it is learned."""
LEARNED = ("\x1b[1;32m", "\x1b[0m")
SEEN = ("\x1b[2m", "\x1b[0m")
MARKS = ("[[", "]]")
PLAIN = ("", "")


def preview_lines(samples: Sequence[Sequence[Segment]], *, coloured: bool) -> Iterator[str]:
    """Learned text is green on a terminal, and in [[ ]] elsewhere."""
    if not samples:
        return
    how = "green" if coloured else "in [[ ]]"
    yield f"samples as they are trained; what is learned is {how}:"
    for number, segments in enumerate(samples, 1):
        pieces = [_piece(text, coloured=coloured, learned=learned) for text, learned in segments]
        yield f"--- sample {number}"
        yield "".join(pieces)
    yield "---"


def _piece(text: str, *, coloured: bool, learned: bool) -> str:
    if coloured:
        before, after = LEARNED if learned else SEEN
    else:
        before, after = MARKS if learned else PLAIN
    return f"{before}{text}{after}"

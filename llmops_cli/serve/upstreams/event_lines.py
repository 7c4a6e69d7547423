"""Lines of server-sent events with one kind of end, whichever the upstream uses.

Source: the HTML standard, 9.2.5: a line ends with LF, CR LF or CR; one BOM may stand before all.
"""

from __future__ import annotations

__all__ = ["EVENT_STREAM", "EventLines"]

EVENT_STREAM = b"text/event-stream"
BOM = b"\xef\xbb\xbf"


class EventLines:
    """Of one stream that comes in pieces, cut anywhere."""

    __slots__ = ("_after_return", "_held", "_is_begun")

    def __init__(self) -> None:
        self._is_begun = False
        self._after_return = False
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The same lines, each ended by LF as soon as its end is seen."""
        if not self._is_begun:
            piece = self._without_mark(piece)
        if self._after_return and piece:
            self._after_return = False
            if piece.startswith(b"\n"):
                piece = piece[1:]
        if b"\r" not in piece:
            return piece
        self._after_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _without_mark(self, piece: bytes) -> bytes:
        piece = self._held + piece
        self._held = b""
        if len(piece) < len(BOM) and BOM.startswith(piece):
            self._held = piece
            return b""
        self._is_begun = True
        return piece.removeprefix(BOM)

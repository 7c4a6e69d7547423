"""How many values a body's JSON has, whatever its strings say, before it is read.

JSON is read in one call, during which no other thread runs: millions of values take seconds. The
bounds are the gateway's. Standard library only.
"""

VALUES_MOST = 50_000
"""Objects, lists, and strings that are no fields' names. 2,000 messages with tools have a tenth."""
FIELDS_MOST = 100_000
COMMAS_MOST = 500_000
"""Of numbers. OpenAI takes 300,000 tokens at once."""
SMALL_BYTES = 64 << 10
"""Not looked at: a millisecond."""
PIECE_BYTES = 256 << 10
"""At a time, so that other threads have their turn."""


def crowd_in(body: bytes) -> str | None:
    """What there is too much of; None: of nothing."""
    if len(body) <= SMALL_BYTES:
        return None
    counts = Counts()
    for start in range(0, len(body), PIECE_BYTES):
        counts.add(body[start : start + PIECE_BYTES])
        if counts.values > VALUES_MOST:
            return f"{VALUES_MOST:,} objects, lists and strings"
        if counts.fields > FIELDS_MOST:
            return f"{FIELDS_MOST:,} fields"
        if counts.commas > COMMAS_MOST:
            return f"{COMMAS_MOST:,} numbers"
    return None


class Counts:
    """Of a body that comes in pieces, cut anywhere."""

    def __init__(self) -> None:
        self.fields = 0
        self.commas = 0
        self._opened = 0
        self._strings = 0
        self._in_string = False
        self._held = b""

    @property
    def values(self) -> int:
        return self._opened + max(0, self._strings - self.fields)

    def add(self, piece: bytes) -> None:
        piece = self._without_escapes(self._held + piece)
        first, *rest = piece.split(b'"')
        parts = [first, *rest]
        bare = b"".join(parts[self._in_string :: 2])
        quotes = len(rest)
        self._strings += (quotes + (not self._in_string)) // 2
        self._in_string ^= quotes % 2 == 1
        self.fields += bare.count(b":")
        self.commas += bare.count(b",")
        self._opened += bare.count(b"{") + bare.count(b"[")

    def _without_escapes(self, piece: bytes) -> bytes:
        """A backslash at the end waits for what follows it."""
        if b"\\" not in piece:
            self._held = b""
            return piece
        plain = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        self._held = b"\\" if plain.endswith(b"\\") else b""
        return plain.removesuffix(self._held)

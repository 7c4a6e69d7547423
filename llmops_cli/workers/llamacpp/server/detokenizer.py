"""Token bytes to text that may be sent: whole characters, nothing past a stop string."""

import codecs


class Detokenizer:
    """Feed bytes, get text.

    What could be the beginning of a stop string is held back until it is not.
    """

    def __init__(self, stops: list[str]) -> None:
        make = codecs.getincrementaldecoder("utf-8")
        self._decoder = make(errors="replace")
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        text = self._decoder.decode(piece)
        if not self._stops:
            return text
        return self._cut(self._held + text)

    def finish(self) -> str:
        """What is still held when the generation ends; an unfinished character becomes U+FFFD."""
        text = self._decoder.decode(b"", final=True)
        if self.stopped:
            return ""
        if not self._stops:
            return text
        shown = self._cut(self._held + text)
        rest = shown + self._held
        self._held = ""
        return rest

    def _cut(self, text: str) -> str:
        end = first_stop(text, self._stops)
        if end is not None:
            self.stopped = True
            self._held = ""
            return text[:end]
        overlaps = [overlap(text, stop) for stop in self._stops]
        held = max(overlaps)
        shown = len(text) - held
        self._held = text[shown:]
        return text[:shown]


def first_stop(text: str, stops: list[str]) -> int | None:
    """Where the first of the stop strings begins."""
    found = [stop for stop in stops if stop in text]
    places = [text.index(stop) for stop in found]
    return min(places, default=None)


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    longest = len(stop) - 1
    longest = min(longest, len(text))
    for length in range(longest, 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0

"""Turns token bytes into text that may be sent: whole UTF-8 characters, nothing past a stop
string.
"""

import codecs


class TextStream:
    """Feed bytes, get text. What could be the beginning of a stop string is held back until it is
    not.
    """

    def __init__(self, stops: list[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
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
        rest = self._cut(self._held + text)
        rest = rest + self._held
        self._held = ""
        return rest

    def _cut(self, text: str) -> str:
        found = [position for stop in self._stops if (position := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)]
        keep = max(self._overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of `text` that begins `stop`."""
        for length in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:length]):
                return length
        return 0

"""Tokens of a running answer to text that will not change any more. Standard library only."""

from collections.abc import Callable

REPLACEMENT = "\ufffd"
"""What a tokenizer writes for the first bytes of an unfinished character."""


class IncrementalDecoder:
    """Gives text as tokens come, never a part of a character; ends before a stop string."""

    def __init__(self, decode: Callable[[list[int]], str], stops: list[str]) -> None:
        self._decode = decode
        self._stops = stops
        lengths = [len(stop) for stop in stops]
        self._longest_stop = max(lengths, default=0)
        self._tokens: list[int] = []
        self._context_from = 0
        self._given_to = 0
        self._held = ""
        self.stopped = False

    def add(self, tokens: list[int], *, last: bool = False) -> str:
        """The characters that are certain now; with `last` all that are left."""
        self._tokens += tokens
        unsettled = self._tokens[self._context_from :]
        given = self._given_to - self._context_from
        before = self._decode(unsettled[:given])
        now = self._decode(unsettled)
        is_cut = now.endswith(REPLACEMENT) and not last
        if is_cut or len(now) <= len(before):
            return self._release("", last=last)
        self._context_from = self._given_to
        self._given_to = len(self._tokens)
        fresh = now[len(before) :]
        return self._release(fresh, last=last)

    def _release(self, text: str, *, last: bool) -> str:
        """The text before a stop string, without an end that may yet become one."""
        text = self._held + text
        self._held = ""
        found = [stop for stop in self._stops if stop in text]
        if found:
            self.stopped = True
            return text[: min(map(text.index, found))]
        if last:
            return text
        certain = len(text) - self._possible_stop(text)
        self._held = text[certain:]
        return text[:certain]

    def _possible_stop(self, text: str) -> int:
        """Characters at the end of the text that begin a stop string."""
        longest = self._longest_stop - 1
        most = min(longest, len(text))
        for count in range(most, 0, -1):
            end = text[-count:]
            begins_stop = any(stop.startswith(end) for stop in self._stops)
            if begins_stop:
                return count
        return 0

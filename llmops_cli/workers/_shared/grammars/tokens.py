"""A grammar over the tokens of a vocabulary: which may come next, and what follows one.

Tokens are bytes: a character may begin in one and end in the next.
"""

import codecs
from bisect import bisect_left
from typing import NamedTuple

from _shared.grammars.machine import MOST_WORK_PER_PICK, TOO_AMBIGUOUS, Machine
from _shared.grammars.nodes import LAST_CODE, GrammarError
from _shared.grammars.states import State

CHEAP_WORK = 10_000
"""Past it, the whole list of allowed tokens is worth less than the likeliest of them."""
CONTINUATION_BITS = 6


class Utf8Form(NamedTuple):
    """Characters of one length: the lowest byte that begins them, and the first of them."""

    lead: int
    length: int
    first: int


FORMS = (
    Utf8Form(0xF0, 4, 0x10000),
    Utf8Form(0xE0, 3, 0x800),
    Utf8Form(0xC0, 2, 0x80),
)


class TokenTexts:
    """The tokens of one vocabulary, in the order of their texts."""

    def __init__(self, pieces: list[bytes]) -> None:
        """`pieces`: the bytes of each token; empty for those that no text has."""
        whole: list[tuple[str, int]] = []
        self.parts: list[int] = []
        self._pieces = pieces
        self._texts: list[str | None] = [None] * len(pieces)
        for token, piece in enumerate(pieces):
            if not piece:
                continue
            try:
                text = piece.decode()
            except UnicodeDecodeError:
                self.parts.append(token)
                continue
            self._texts[token] = text
            whole.append((text, token))
        whole.sort()
        self.texts = [text for text, _ in whole]
        self.tokens = [token for _, token in whole]

    def text(self, token: int) -> str | None:
        """None if it is no whole characters."""
        return self._texts[token]

    def piece(self, token: int) -> bytes:
        return self._pieces[token]

    def first_after(self, prefix: str, start: int) -> int:
        """The first place from `start` on whose text does not begin so."""
        # The last of all characters sorts behind every text that goes on otherwise.
        return bisect_left(self.texts, prefix + chr(LAST_CODE), start)


class Position(NamedTuple):
    """A state, and the bytes of a character that has only begun."""

    state: State
    tail: bytes = b""


class Allowed(NamedTuple):
    """`is_whole`: these are all. Otherwise there are more than is cheap to list."""

    tokens: list[int]
    is_whole: bool


class TokenMatcher:
    """One text on its way through a grammar. For one thread at a time."""

    def __init__(self, machine: Machine, texts: TokenTexts) -> None:
        self._machine = machine
        self._texts = texts
        self._position = Position(machine.start)

    @property
    def may_end(self) -> bool:
        return self._position.state.accepts and not self._position.tail

    @property
    def is_over(self) -> bool:
        """Nothing can follow."""
        return self._position.state.is_final

    @property
    def work(self) -> int:
        """Since the pick began."""
        return self._machine.work

    def begin_pick(self) -> None:
        """The next token has its own bound of work, for all that is asked until it is accepted."""
        self._machine.rest()

    def allows(self, token: int) -> bool:
        """Raises: GrammarError if the grammar is too ambiguous."""
        return self._after(token) is not None

    def accept(self, token: int) -> None:
        """Raises: GrammarError; ValueError for a token that is not allowed."""
        following = self._after(token)
        if following is None:
            raise ValueError(f"token {token} does not fit the grammar")
        self._position = following

    def allowed(self, *, at_any_cost: bool = False) -> Allowed:
        """Raises: GrammarError if the grammar is too ambiguous."""
        state = self._position.state
        if not self._position.tail and isinstance(state.tokens, Allowed):
            return state.tokens
        limit = MOST_WORK_PER_PICK if at_any_cost else self.work + CHEAP_WORK
        found = self._all_within(state, limit)
        if found is None and at_any_cost:
            raise GrammarError(TOO_AMBIGUOUS)
        if found is None:
            return Allowed([], is_whole=False)
        whole = Allowed(found, is_whole=True)
        if not self._position.tail:
            state.tokens = whole
        return whole

    def _all_within(self, state: State, limit: int) -> list[int] | None:
        """None if it takes more work."""
        parts = self._parts_within(limit)
        if parts is None or self._position.tail:
            return parts
        found = Walk(self._machine, self._texts, limit).tokens(state)
        return None if found is None else [*found, *parts]

    def _parts_within(self, limit: int) -> list[int] | None:
        found = []
        for token in self._texts.parts:
            if self._after(token) is not None:
                found.append(token)
            if self.work > limit:
                return None
        return found

    def _after(self, token: int) -> Position | None:
        text = self._texts.text(token)
        if text is None or self._position.tail:
            return self._after_bytes(self._texts.piece(token))
        state: State | None = self._position.state
        for char in text:
            if state is None:
                return None
            state = state.step(char)
        return None if state is None else Position(state)

    def _after_bytes(self, piece: bytes) -> Position | None:
        if not piece:
            return None
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            text = decoder.decode(self._position.tail + piece)
        except UnicodeDecodeError:
            return None
        state: State | None = self._position.state
        for char in text:
            if state is None:
                return None
            state = state.step(char)
        tail, _ = decoder.getstate()
        if state is None or (tail and not state.meets(*codes_beginning(tail))):
            return None
        return Position(state, tail)


class Walk:
    """Goes over all tokens in order, so that common beginnings are stepped through once."""

    def __init__(self, machine: Machine, texts: TokenTexts, most_work: int) -> None:
        self._machine = machine
        self._texts = texts
        self._most_work = most_work
        self._steps = 0

    def tokens(self, state: State) -> list[int] | None:
        """All that are whole characters and may come next; None if that is too much work."""
        firsts = state.first_chars()
        if firsts is None:
            return self._between(state, 0, len(self._texts.texts))
        found: list[int] = []
        for char in firsts:
            start = bisect_left(self._texts.texts, char)
            end = self._texts.first_after(char, start)
            part = self._between(state, start, end)
            if part is None:
                return None
            found += part
        return found

    def _between(self, state: State, start: int, end: int) -> list[int] | None:
        texts = self._texts.texts
        tokens = self._texts.tokens
        found: list[int] = []
        path = [state]
        walked = ""
        place = start
        while place < end:
            text = texts[place]
            common = common_length(walked, text)
            del path[common + 1 :]
            failed = self._walk(text, common, path)
            walked = text[: len(path) - 1]
            if failed is None:
                found.append(tokens[place])
                place += 1
            else:
                place = self._texts.first_after(text[: failed + 1], place)
            if self._steps + self._machine.work > self._most_work:
                return None
        return found

    def _walk(self, text: str, start: int, path: list[State]) -> int | None:
        """Where the text stops fitting; None if all of it fits."""
        for index in range(start, len(text)):
            self._steps += 1
            following = path[-1].step(text[index])
            if following is None:
                return index
            path.append(following)
        return None


def common_length(first: str, second: str) -> int:
    length = min(len(first), len(second))
    for index in range(length):
        if first[index] != second[index]:
            return index
    return length


def codes_beginning(tail: bytes) -> tuple[int, int]:
    """The code points whose UTF-8 begins with these bytes."""
    lead = tail[0]
    form = next(form for form in FORMS if lead >= form.lead)
    code = lead - form.lead
    for byte in tail[1:]:
        code = code << CONTINUATION_BITS | (byte & 0x3F)
    bits = CONTINUATION_BITS * (form.length - len(tail))
    first = code << bits
    last = (code + 1 << bits) - 1
    # A character is never written longer than it needs to be.
    return max(first, form.first), min(last, LAST_CODE)

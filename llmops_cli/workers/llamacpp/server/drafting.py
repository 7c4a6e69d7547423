"""Guesses of the next tokens, which the model then checks in one step: from the text itself, or by
a smaller model.

A guess is kept only where the model's own sampler picks the same token, so it changes the speed and
nothing else.
"""

from typing import Protocol

from llamacpp.server.binding import BatchItem, Llama, LoadError

NGRAMS = (3, 2)
LONGEST_PAUSE = 32


def common_prefix(a: list[int], b: list[int]) -> int:
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    low = 0
    high = limit  # a[:low] matches, a[:high] does not; slices compare at C speed
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle)
    return low


class Draft:
    """How far ahead to guess for one generation: twice as far after full success, nothing for a
    while after none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._length = most
        self._pause = self._skip = 0
        self.index: dict[tuple[int, ...], int] = {}
        self.indexed = 0

    def wanted(self) -> int:
        if self._skip:
            self._skip -= 1
            return 0
        return self._length

    def learn(self, guessed: int, right: int) -> None:
        if right == guessed:
            self._length = min(self._most, max(2 * self._length, guessed + 1))
            self._pause = 0
        elif right:
            self._length = right
            self._pause = 0
        else:
            self._pause = min(LONGEST_PAUSE, 2 * self._pause + 1)
            self._length = 1
            self._skip = self._pause


class Drafter(Protocol):
    def guess(self, wanted: list[tuple[int, list[int], Draft, int]]) -> dict[int, list[int]]:
        """For each (sequence, tokens, state, most): at most so many next tokens, by sequence."""


class PromptLookup:
    """What followed the last time the final tokens stood in the text (prompt lookup decoding)."""

    def guess(self, wanted: list[tuple[int, list[int], Draft, int]]) -> dict[int, list[int]]:
        return {
            sequence: self._one(tokens, draft, most) for sequence, tokens, draft, most in wanted
        }

    def _one(self, tokens: list[int], draft: Draft, most: int) -> list[int]:
        index = draft.index
        for end in range(max(draft.indexed, 1), len(tokens)):  # every n-gram that something follows
            for size in NGRAMS:
                if end >= size:
                    index[tuple(tokens[end - size : end])] = end
        draft.indexed = len(tokens)
        for size in NGRAMS:
            if found := index.get(tuple(tokens[-size:])):
                period = len(tokens) - found
                return [
                    tokens[found + i % period] for i in range(most)
                ]  # past its own end a text repeats itself
        return []


class DraftModel:
    """A smaller model with the same vocabulary, which writes ahead for all sequences in one
    batch.
    """

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._cells: dict[int, list[int]] = {}

    def guess(self, wanted: list[tuple[int, list[int], Draft, int]]) -> dict[int, list[int]]:
        guesses: dict[int, list[int]] = {sequence: [] for sequence, *_ in wanted}
        for sequence, tokens, _, _ in wanted:
            self._keep(sequence, tokens)
        while True:
            behind = [
                (s, [*tokens, *guesses[s]])
                for s, tokens, _, most in wanted
                if len(guesses[s]) < most
            ]
            if not behind:
                return guesses
            try:
                for sequence, token in self._next(behind).items():
                    guesses[sequence].append(token)
            except MemoryError:
                for sequence in [*self._cells]:
                    self._keep(sequence, [])
                return guesses

    def _keep(self, sequence: int, tokens: list[int]) -> None:
        """Forgets what the sequence's cells have beyond the common beginning."""
        cells = self._cells.get(sequence, [])
        same = min(common_prefix(cells, tokens), max(len(tokens) - 1, 0))
        if same < len(cells) and not self._llama.forget(sequence, same):
            self._llama.forget(sequence)
            same = 0
        self._cells[sequence] = cells[:same]

    def _next(self, behind: list[tuple[int, list[int]]]) -> dict[int, int]:
        """The likeliest next token of each text. Raises: MemoryError if the pool has no room for
        them.
        """
        picked: dict[int, int] = {}
        items: list[BatchItem] = []

        def run() -> None:
            if not items:
                return
            if not self._llama.decode(items):
                raise MemoryError
            for index, (token, _, sequence, last) in enumerate(items):
                self._cells[sequence].append(token)
                if last:
                    picked[sequence] = int(self._llama.logits(index).argmax())
            items.clear()

        for sequence, tokens in behind:
            for position in range(len(self._cells[sequence]), len(tokens)):
                items.append((tokens[position], position, sequence, position == len(tokens) - 1))
                if len(items) == self._llama.batch_size:
                    run()
        run()
        return picked


def make_drafter(
    text: str, target: Llama, *, sequences: int, threads: int, gpu_layers: int
) -> tuple[Drafter, int]:
    """From `ngram:5` or `draft:PATH:5`, with the most tokens to guess. Raises: LoadError if it
    cannot work.
    """
    kind, _, rest = text.partition(":")
    if not target.can_share_prefixes:
        raise LoadError(
            "speculation needs a model that can forget its last tokens; a recurrent one cannot"
        )
    if kind == "ngram":
        return PromptLookup(), int(rest)
    path, _, most = rest.rpartition(":")
    small = Llama(
        path,
        pool=target.pool,
        sequences=sequences,
        batch=target.batch_size,
        threads=threads,
        gpu_layers=gpu_layers,
    )
    step = max(1, target.vocab_size // 1000)
    same = small.vocab_size == target.vocab_size and all(
        small.piece(token, special=True) == target.piece(token, special=True)
        for token in range(0, target.vocab_size, step)
    )
    if not same:
        raise LoadError(f"the draft model {path} has another vocabulary than the model")
    return DraftModel(small), int(most)

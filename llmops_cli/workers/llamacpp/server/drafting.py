"""Speculative decoding: drafts of the next tokens, which the model then checks in one step.

A drafted token is kept only where the model's own sampler picks the same one, so drafts change the
speed and nothing else.
"""

from typing import NamedTuple, Protocol

from llamacpp.server.binding import BatchItem
from llamacpp.server.model import TokenModel
from llamacpp.server.prefixes import common_prefix

NGRAM_SIZES = (3, 2)
LONGEST_PAUSE = 32


class DraftWindow:
    """How far ahead to draft for one generation.

    Twice as far after full success, nothing for a while after none.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._length = most
        self._pause = 0
        self._steps_to_skip = 0

    def next_length(self) -> int:
        if self._steps_to_skip:
            self._steps_to_skip -= 1
            return 0
        return self._length

    def learn(self, *, drafted: int, accepted: int) -> None:
        if accepted == drafted:
            self._length = min(self._most, max(2 * self._length, drafted + 1))
            self._pause = 0
        elif accepted:
            self._length = accepted
            self._pause = 0
        else:
            self._length = 1
            self._pause = min(LONGEST_PAUSE, 2 * self._pause + 1)
            self._steps_to_skip = self._pause


class NgramIndex:
    """Where each short run of tokens last stood in one generation's text."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def extend(self, tokens: list[int]) -> None:
        """Takes in every n-gram that something follows."""
        for end in range(max(self._indexed, 1), len(tokens)):
            for size in NGRAM_SIZES:
                if end >= size:
                    self._ends[tuple(tokens[end - size : end])] = end
        self._indexed = len(tokens)

    def continuation(self, tokens: list[int], length: int) -> list[int]:
        """What followed the last time that the final tokens stood in the text."""
        for size in NGRAM_SIZES:
            start = self._ends.get(tuple(tokens[-size:]))
            if start:
                # Past its own end a text is taken to repeat itself.
                period = len(tokens) - start
                return [tokens[start + i % period] for i in range(length)]
        return []


class DraftState:
    """What drafting remembers of one generation."""

    def __init__(self, most: int) -> None:
        self.window = DraftWindow(most)
        self.ngrams = NgramIndex()


class DraftRequest(NamedTuple):
    """One sequence's text so far, and how many next tokens are wanted at most."""

    sequence: int
    tokens: list[int]
    state: DraftState
    most: int


class Drafter(Protocol):
    @property
    def most(self) -> int:
        """The longest draft."""

    def draft(self, requests: list[DraftRequest]) -> dict[int, list[int]]:
        """Next tokens by sequence, as many as were wanted or fewer."""


class PromptLookup:
    """Prompt lookup decoding: the text itself is what the draft is taken from."""

    def __init__(self, most: int) -> None:
        self.most = most

    def draft(self, requests: list[DraftRequest]) -> dict[int, list[int]]:
        drafts = {}
        for request in requests:
            ngrams = request.state.ngrams
            ngrams.extend(request.tokens)
            drafts[request.sequence] = ngrams.continuation(request.tokens, request.most)
        return drafts


class DraftModel:
    """A smaller model with the same vocabulary; it writes ahead for all sequences in one batch."""

    def __init__(self, model: TokenModel, most: int) -> None:
        self.most = most
        self._model = model
        self._cells: dict[int, list[int]] = {}

    def draft(self, requests: list[DraftRequest]) -> dict[int, list[int]]:
        drafts: dict[int, list[int]] = {request.sequence: [] for request in requests}
        for request in requests:
            self._keep_common(request.sequence, request.tokens)
        while unfinished := [r for r in requests if len(drafts[r.sequence]) < r.most]:
            texts = {r.sequence: r.tokens + drafts[r.sequence] for r in unfinished}
            following = self._next_tokens(texts)
            if following is None:
                self._forget_all()
                break
            for sequence, token in following.items():
                drafts[sequence].append(token)
        return drafts

    def _keep_common(self, sequence: int, tokens: list[int]) -> None:
        """Forgets what the sequence's cells have beyond the common beginning."""
        cells = self._cells.get(sequence, [])
        # The last token is computed again, since its logits are needed.
        same = min(common_prefix(cells, tokens), max(len(tokens) - 1, 0))
        if same < len(cells) and not self._model.forget(sequence, same):
            self._model.forget(sequence)
            same = 0
        self._cells[sequence] = cells[:same]

    def _forget_all(self) -> None:
        for sequence in [*self._cells]:
            self._keep_common(sequence, [])

    def _next_tokens(self, texts: dict[int, list[int]]) -> dict[int, int] | None:
        """The likeliest next token of each text; None if the pool has no room for them."""
        likeliest: dict[int, int] = {}
        items = self._missing_cells(texts)
        room = self._model.batch_size
        for start in range(0, len(items), room):
            batch = items[start : start + room]
            if not self._model.decode(batch):
                return None
            for index, (token, _, sequence, is_last) in enumerate(batch):
                self._cells[sequence].append(token)
                if is_last:
                    likeliest[sequence] = int(self._model.logits(index).argmax())
        return likeliest

    def _missing_cells(self, texts: dict[int, list[int]]) -> list[BatchItem]:
        items: list[BatchItem] = []
        for sequence, tokens in texts.items():
            last = len(tokens) - 1
            for position in range(len(self._cells[sequence]), len(tokens)):
                items.append((tokens[position], position, sequence, position == last))
        return items

"""Speculative decoding: drafts of the next tokens, which the model then checks in one step.

A drafted token is kept only where the model's own sampler picks the same one, so drafts change the
speed and nothing else.
"""

from itertools import cycle, islice
from typing import NamedTuple, Protocol

from llamacpp.server.binding import BatchItem
from llamacpp.server.model import TokenModel
from llamacpp.server.prefixes import Tokens, common_prefix

NGRAM_SIZES = (3, 2)
LONGEST_PAUSE = 32

Drafts = dict[int, Tokens]
"""Drafted next tokens by sequence."""


class DraftWindow:
    """How far ahead to draft for one generation.

    Twice as far after full success, nothing for a while after none.
    """

    def __init__(self, most: int) -> None:
        self.most = most
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
            longer = max(2 * self._length, drafted + 1)
            self._length = min(self.most, longer)
            self._pause = 0
        elif accepted:
            self._length = accepted
            self._pause = 0
        else:
            self._length = 1
            longer_pause = 2 * self._pause + 1
            self._pause = min(LONGEST_PAUSE, longer_pause)
            self._steps_to_skip = self._pause


class NgramIndex:
    """Where each short run of tokens last stood in one generation's text."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def extend(self, tokens: Tokens) -> None:
        """Takes in every n-gram that something follows."""
        first = max(self._indexed, 1)
        for end in range(first, len(tokens)):
            for size in NGRAM_SIZES:
                if end >= size:
                    self._ends[tuple(tokens[end - size : end])] = end
        self._indexed = len(tokens)

    def continuation(self, tokens: Tokens, length: int) -> Tokens:
        """What followed the last time that the final tokens stood in the text."""
        for size in NGRAM_SIZES:
            start = self._ends.get(tuple(tokens[-size:]))
            if start:
                # Past its own end a text is taken to repeat itself.
                repeated = cycle(tokens[start : start + length])
                return list(islice(repeated, length))
        return []


class DraftState:
    """What drafting remembers of one generation."""

    def __init__(self, most: int) -> None:
        self.window = DraftWindow(most)
        self.ngrams = NgramIndex()


class DraftRequest(NamedTuple):
    """One sequence's text so far, and how many next tokens are wanted at most."""

    sequence: int
    tokens: Tokens
    state: DraftState
    most: int


class Drafter(Protocol):
    @property
    def most(self) -> int:
        """The longest draft."""

    def draft(self, requests: list[DraftRequest]) -> Drafts:
        """As many tokens as were wanted, or fewer."""


class PromptLookup:
    """Prompt lookup decoding: the text itself is what the draft is taken from."""

    def __init__(self, most: int) -> None:
        self.most = most

    def draft(self, requests: list[DraftRequest]) -> Drafts:
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
        self._cells: dict[int, Tokens] = {}

    def draft(self, requests: list[DraftRequest]) -> Drafts:
        drafts: Drafts = {}
        for request in requests:
            drafts[request.sequence] = []
            self._keep_common(request.sequence, request.tokens)
        while texts := unfinished_texts(requests, drafts):
            following = self._next_tokens(texts)
            if following is None:
                self._forget_all()
                break
            for sequence, token in following.items():
                drafts[sequence].append(token)
        return drafts

    def _keep_common(self, sequence: int, tokens: Tokens) -> None:
        """Forgets what the sequence's cells have beyond the common beginning."""
        cells = self._cells.get(sequence, [])
        # The last token is computed again, since its logits are needed.
        same = common_prefix(cells, tokens[:-1])
        if same < len(cells):
            can_cut = self._model.forget(sequence, same)
            if not can_cut:
                self._model.forget(sequence)
                same = 0
        self._cells[sequence] = cells[:same]

    def _forget_all(self) -> None:
        for sequence in [*self._cells]:
            self._keep_common(sequence, [])

    def _next_tokens(self, texts: dict[int, Tokens]) -> dict[int, int] | None:
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
                    row = self._model.logits(index)
                    likeliest[sequence] = int(row.argmax())
        return likeliest

    def _missing_cells(self, texts: dict[int, Tokens]) -> list[BatchItem]:
        items: list[BatchItem] = []
        for sequence, tokens in texts.items():
            last = len(tokens) - 1
            computed = len(self._cells[sequence])
            for position in range(computed, last + 1):
                is_last = position == last
                token = tokens[position]
                items.append((token, position, sequence, is_last))
        return items


def unfinished_texts(requests: list[DraftRequest], drafts: Drafts) -> dict[int, Tokens]:
    """Each text with its draft so far, by sequence, where more is wanted."""
    texts = {}
    for request in requests:
        draft = drafts[request.sequence]
        if len(draft) < request.most:
            texts[request.sequence] = request.tokens + draft
    return texts

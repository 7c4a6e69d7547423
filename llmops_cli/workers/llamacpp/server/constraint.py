"""A grammar over one generation's tokens: whether a token may come, and which may instead."""

import numpy as np
import numpy.typing as npt

from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError
from _shared.grammars.tokens import TokenMatcher
from llamacpp.server.model import LogitsRow
from llamacpp.server.vocabulary import Vocabulary

LIKELIEST = 1_024
"""Looked at one by one where the grammar allows more tokens than are cheap to list."""
MOST_WORK_ON_LIKELIEST = 30_000
"""Past it, those that were found to fit are all that is chosen from."""
COSTLY_WORK = 5_000
MOST_WORK_PER_TEXT = 20_000_000

TokenIds = npt.NDArray[np.int64]


class Constraint:
    """A text that follows a grammar. The end of the text is allowed where the grammar's is."""

    def __init__(self, vocabulary: Vocabulary, machine: Machine) -> None:
        self._matcher = TokenMatcher(machine, vocabulary.token_texts)
        self._ends = vocabulary.end_tokens
        self._is_new = machine.picks == 0
        self._work = 0
        self.last_work: int | None = None

    @property
    def is_costly(self) -> bool:
        if self.last_work is None:
            return self._is_new
        return self.last_work > COSTLY_WORK

    def begin_pick(self) -> None:
        self._matcher.begin_pick()

    def end_pick(self) -> None:
        """Counts what it has cost. Raises: GrammarError past what one text may take."""
        self.last_work = self._matcher.work
        self._work += self.last_work
        if self._work > MOST_WORK_PER_TEXT:
            raise GrammarError("the grammar has taken too much work for one answer")

    @property
    def is_over(self) -> bool:
        """The text is whole, and no token can follow but an end."""
        return self._matcher.is_over

    def allows(self, token: int) -> bool:
        """Raises: GrammarError if the grammar is too ambiguous."""
        if token in self._ends:
            return self._matcher.may_end
        return self._matcher.allows(token)

    def accept(self, token: int) -> None:
        """Raises: GrammarError, as above."""
        if token not in self._ends:
            self._matcher.accept(token)

    def allowed(self, row_V: LogitsRow) -> TokenIds:
        """Tokens that may come, at least all likely ones. Raises: GrammarError if there are none.

        An end that was ruled out (by `ignore_eos`) is among them only if nothing else may come.
        """
        tokens = self._listed(row_V)
        ends: list[int] = []
        if self._matcher.may_end:
            ends = sorted(self._ends)
        possible = [token for token in [*tokens, *ends] if row_V[token] > -np.inf]
        ids = possible or ends
        if not ids:
            raise GrammarError("no token of this model can go on as the grammar asks")
        return np.array(ids, np.int64)

    def _listed(self, row_V: LogitsRow) -> list[int]:
        every = self._matcher.allowed()
        if every.is_whole:
            return every.tokens
        return self._likeliest(row_V) or self._matcher.allowed(at_any_cost=True).tokens

    def _likeliest(self, row_V: LogitsRow) -> list[int]:
        """Best first, so that the best are known whenever it has taken long enough."""
        count = min(LIKELIEST, len(row_V))
        likeliest = np.argpartition(row_V, -count)[-count:]
        found = []
        for token in likeliest[np.argsort(-row_V[likeliest])]:
            if self._matcher.allows(int(token)):
                found.append(int(token))
            if self._matcher.work > MOST_WORK_ON_LIKELIEST:
                break
        return found

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

TokenIds = npt.NDArray[np.int64]


class Constraint:
    """A text that follows a grammar. The end of the text is allowed where the grammar's is."""

    def __init__(self, vocabulary: Vocabulary, machine: Machine) -> None:
        self._matcher = TokenMatcher(machine, vocabulary.token_texts)
        self._ends = vocabulary.end_tokens

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
        count = min(LIKELIEST, len(row_V))
        likeliest = np.argpartition(row_V, -count)[-count:]
        found = [int(token) for token in likeliest if self._matcher.allows(int(token))]
        return found or self._matcher.allowed(at_any_cost=True).tokens

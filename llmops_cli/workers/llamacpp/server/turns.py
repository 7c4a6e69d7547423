"""Whose grammar may work in a step: those that cost much take turns, so that others do not wait.

Work is counted as the grammars count it: about a microsecond each.
"""

from llamacpp.server.slots import Running

SHARE_PER_STEP = 10_000
"""What costly grammars may take of each step beside generations that they would hold up."""
MOST_PER_STEP = 40_000
"""Past it no other grammar is asked in the same step, whatever it has cost so far."""


class GrammarTurns:
    """One costly generation a step, and none while what the last one took is paid off."""

    def __init__(self) -> None:
        self._debt = 0
        self._order: list[Running] = []
        self._work = 0

    def waiting(self, running: list[Running]) -> frozenset[Running]:
        """Those that skip the step that begins now."""
        self._work = 0
        costly = [each for each in running if each.sampler.is_costly]
        known = [each for each in self._order if each in costly]
        order = known + [each for each in costly if each not in known]
        has_others = len(costly) < len(running)
        self._debt = max(0, self._debt - SHARE_PER_STEP) if has_others else 0
        if self._debt:
            self._order = order
            return frozenset(order)
        # Its turn is over even if it only read its prompt: others may wait for what it has read.
        self._order = order[1:] + order[:1]
        return frozenset(order[1:])

    @property
    def is_spent(self) -> bool:
        return self._work > MOST_PER_STEP

    def count(self, running: Running) -> None:
        """It has picked a token."""
        work = running.sampler.grammar_work
        self._work += work
        if running.sampler.is_costly:
            self._debt += work

"""The sequences of the KV pool: who has which, and what earlier requests left there.

A slot keeps its cells after its request ends, so that a later request with the same beginning
starts from there, or from a copy, which costs nothing.
"""

import time
from typing import NamedTuple

from llamacpp.server.drafting import DraftState
from llamacpp.server.generation import Generation
from llamacpp.server.model import TokenModel
from llamacpp.server.prefixes import Tokens, common_prefix
from llamacpp.server.sampling import Sampler

MIN_SHARED = 8
"""Shorter common beginnings are computed again: cheaper than a step of waiting for them."""
DEFER_GAIN = 64
"""A prompt waits a step if a neighbour that is being read now will spare it this many tokens."""


class Slot:
    """One sequence. `cells`: the tokens whose keys and values are there, made by `adapter`."""

    __slots__ = ("adapter", "cells", "running", "sequence", "used_at")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.cells: Tokens = []
        self.adapter = 0
        self.running: Running | None = None
        self.used_at = 0.0


class Running:
    """A generation that has a slot. `has_begun`: the slot holds a beginning of its tokens."""

    __slots__ = ("draft", "generation", "has_begun", "sampler", "slot")

    def __init__(
        self,
        generation: Generation,
        slot: Slot,
        sampler: Sampler,
        draft: DraftState,
    ) -> None:
        self.generation = generation
        self.slot = slot
        self.sampler = sampler
        self.draft = draft
        self.has_begun = False

    @property
    def uncomputed(self) -> int:
        """Tokens without cells: all of a prompt at first, and 1 while it decodes."""
        computed = len(self.slot.cells)
        return len(self.generation.tokens) - computed

    @property
    def next_length(self) -> int:
        """Cells that it has after the next step at most: its tokens, a draft and one more."""
        return len(self.generation.tokens) + self.draft.window.most + 1

    @property
    def is_decoding(self) -> bool:
        return self.has_begun and self.uncomputed == 1

    @property
    def is_prefilling(self) -> bool:
        return self.has_begun and self.uncomputed > 1


class PrefixMatch(NamedTuple):
    """A beginning that is computed already: in the own slot, or in the donor's."""

    length: int
    donor: Slot | None = None


class SlotPool:
    """All slots of a model's memory. Everything but the counting belongs to one thread."""

    def __init__(
        self,
        model: TokenModel,
        count: int,
        *,
        reuse: bool,
    ) -> None:
        self._model = model
        self._reuse = reuse and model.can_share_prefixes
        self.slots = [Slot(sequence) for sequence in range(count)]

    def running(self) -> list[Running]:
        return [slot.running for slot in self.slots if slot.running is not None]

    def has_running(self) -> bool:
        return any(slot.running is not None for slot in self.slots)

    def count_free(self) -> int:
        return sum(slot.running is None for slot in self.slots)

    def count_cells(self) -> int:
        return sum(len(slot.cells) for slot in self.slots)

    def best_free(self, generation: Generation) -> Slot | None:
        """The free slot that holds most of the beginning; of equal ones the longest unused.

        Where cells are divided neighbours come first: llama.cpp computes the tokens of sequences
        with consecutive numbers together, and those behind a gap in another pass over the weights.
        What another slot holds is copied.
        """
        free = [slot for slot in self.slots if slot.running is None]
        gaps = self._gaps() if self._model.is_divided else {}

        def worth(slot: Slot) -> tuple[int, int, float]:
            held = self._held_by(slot, generation)
            return -gaps.get(slot.sequence, 0), held, -slot.used_at

        return max(free, key=worth, default=None)

    def _gaps(self) -> dict[int, int]:
        """How far each sequence is from the running ones on both sides, by its number."""
        taken = {slot.sequence for slot in self.slots if slot.running is not None}
        if not taken:
            return {}
        far = len(self.slots)
        gaps = dict.fromkeys(range(far), 0)
        for sequences in (range(far), reversed(range(far))):
            away = far
            for sequence in sequences:
                away = 0 if sequence in taken else away + 1
                gaps[sequence] += min(away, far)
        return gaps

    def occupy(self, running: Running) -> None:
        running.slot.running = running
        running.slot.used_at = time.monotonic()

    def release(self, running: Running) -> None:
        """Frees the slot but keeps its cells for reuse."""
        slot = running.slot
        slot.running = None
        slot.used_at = time.monotonic()
        if not self._reuse:
            self.clear(slot)

    def clear(self, slot: Slot) -> None:
        self._model.forget(slot.sequence)
        slot.cells = []

    def clear_all(self) -> None:
        for slot in self.slots:
            self.clear(slot)

    def drop_last(self, slot: Slot, count: int) -> None:
        """Drops so many of its last cells."""
        del slot.cells[-count:]
        self._model.forget(slot.sequence, len(slot.cells))

    def put_off(self, running: Running, count: int) -> None:
        """Its last tokens are computed again in a later step."""
        slot = running.slot
        del slot.cells[-count:]
        if not self._model.forget(slot.sequence, len(slot.cells)):
            self.clear(slot)

    def clear_longest_unused(self) -> bool:
        """Frees the cells that one free slot has kept; False if none has any."""
        idle = [slot for slot in self.slots if slot.running is None and slot.cells]
        if not idle:
            return False
        oldest = min(idle, key=_used_at)
        self.clear(oldest)
        return True

    def begin(self, running: Running) -> bool:
        """Puts the longest prefix found anywhere into the slot; False to wait for a better one."""
        match = self._longest_prefix(running)
        if match is None:
            return False
        slot = running.slot
        length = self._take_over(slot, match)
        slot.cells = running.generation.tokens[:length]
        slot.adapter = running.generation.adapter
        running.has_begun = True
        return True

    def _take_over(self, slot: Slot, match: PrefixMatch) -> int:
        """Leaves the match, and nothing else, in the slot's sequence; its length as it became."""
        length = match.length
        donor = match.donor
        if length < MIN_SHARED:
            length = 0
            donor = None
        if donor is not None:
            self._model.forget(slot.sequence)
            self._model.share_prefix(donor.sequence, slot.sequence, length)
            return length
        if self._model.forget(slot.sequence, length):
            return length
        self._model.forget(slot.sequence)
        return 0

    def _held_by(self, slot: Slot, generation: Generation) -> int:
        can_share = self._reuse and slot.adapter == generation.adapter
        if not can_share:
            return 0
        return common_prefix(slot.cells, generation.tokens)

    def _longest_prefix(self, running: Running) -> PrefixMatch | None:
        """The longest one now; None if a neighbour is about to have a much longer one."""
        generation = running.generation
        wanted = generation.tokens
        limit = len(wanted) - 1  # the last prompt token must be computed: its logits are needed
        own = self._held_by(running.slot, generation)
        best = PrefixMatch(min(own, limit))
        if generation.scores_prompt:
            return PrefixMatch(0)  # every token's logits are asked for
        if not self._reuse:
            return best
        for other in self.slots:
            if other is running.slot or other.adapter != generation.adapter:
                continue
            held = min(common_prefix(other.cells, wanted), limit)
            if held > best.length:
                best = PrefixMatch(held, other)
            neighbour = other.running
            if neighbour is not None and neighbour.is_prefilling:
                coming = min(common_prefix(neighbour.generation.tokens, wanted), limit)
                if coming - best.length >= DEFER_GAIN:
                    return None
        return best


def _used_at(slot: Slot) -> float:
    return slot.used_at

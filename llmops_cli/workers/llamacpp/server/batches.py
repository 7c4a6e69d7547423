"""One step's batch: a token of each decoding generation with its draft, then prompt tokens."""

from collections.abc import Callable
from typing import NamedTuple

from llamacpp.server.binding import BatchItem
from llamacpp.server.drafting import Drafts
from llamacpp.server.prefixes import Tokens
from llamacpp.server.slots import Running

SCORED_BESIDE = 32
"""Tokens of prompts that are scored in a step beside running streams: each takes a pass over the
vocabulary, so that a whole chunk of them would stall the streams.
"""


class ScoredChunk(NamedTuple):
    """Part of a prompt, all of whose tokens get logits: where it is in batch and prompt."""

    running: Running
    batch_index: int
    position: int
    length: int


class StepBatch:
    """Tokens to compute together, and where each generation's first logits will stand."""

    __slots__ = ("items", "outputs", "scored")

    def __init__(self) -> None:
        self.items: list[BatchItem] = []
        self.outputs: list[tuple[Running, int]] = []
        self.scored: list[ScoredChunk] = []

    def add_decoding(self, running: Running, draft: Tokens) -> None:
        """The last token and the draft after it; each gets logits."""
        items = self.items
        sequence = running.slot.sequence
        position = len(running.slot.cells)
        self.outputs.append((running, len(items)))
        last = running.generation.tokens[-1]
        items.append((last, position, sequence, True))
        for token in draft:
            position += 1
            items.append((token, position, sequence, True))

    def add_prefilling(self, running: Running, room: int) -> int:
        """As many prompt tokens as there is room for; returns how many. The last gets logits."""
        tokens = running.generation.tokens
        sequence = running.slot.sequence
        start = len(running.slot.cells)
        chunk = tokens[start : start + room]
        is_scored = running.generation.scores_prompt
        if is_scored:
            self.scored.append(ScoredChunk(running, len(self.items), start, len(chunk)))
        for position, token in enumerate(chunk, start):
            self.items.append((token, position, sequence, is_scored))
        end = start + len(chunk)
        if end == len(tokens):
            last = len(self.items) - 1
            item = (chunk[-1], end - 1, sequence, True)
            self.items[last] = item
            self.outputs.append((running, last))
        return len(chunk)


def plan_batch(
    active: list[Running],
    drafts: Drafts,
    *,
    batch_size: int,
    prefill_chunk: int,
    begin: Callable[[Running], bool],
) -> StepBatch:
    """The next batch of these generations, prompts first come first served.

    `begin` readies a slot for its prompt; False if the prompt is to wait a step. While streams are
    decoding, drafts and prompts together get `prompt_room` tokens, so that no stream stalls.
    """
    batch = StepBatch()
    decoding = [running for running in active if running.is_decoding]
    for running in decoding:
        draft = drafts.get(running.slot.sequence, [])
        batch.add_decoding(running, draft)
    if len(decoding) == len(active):
        return batch
    room = batch_size - len(batch.items)
    if decoding:
        drafted = len(batch.items) - len(decoding)
        waiting = len(active) - len(decoding)
        beside = prompt_room(prefill_chunk, waiting=waiting, decoding=len(decoding))
        room = min(room, beside - drafted)
    scored_room = min(room, SCORED_BESIDE) if decoding else room
    for running in waiting_prompts(active):
        if room <= 0:
            break
        is_scored = running.generation.scores_prompt
        most = min(room, scored_room) if is_scored else room
        if most > 0 and (running.has_begun or begin(running)):
            taken = batch.add_prefilling(running, most)
            room -= taken
            scored_room -= taken if is_scored else 0
    return batch


def prompt_room(prefill_chunk: int, *, waiting: int, decoding: int) -> int:
    """Prompt tokens in a step beside running streams.

    `prefill_chunk` for the first prompt that waits. A longer step delays each running stream, and a
    shorter one each further prompt: where one stream runs and thirty prompts have come, they are
    what counts.
    """
    further = max(0, waiting - 1)
    return prefill_chunk * (decoding + further) // decoding


def waiting_prompts(active: list[Running]) -> list[Running]:
    prompts = [running for running in active if not running.is_decoding]
    return sorted(prompts, key=_queued_at)


def _queued_at(running: Running) -> float:
    return running.generation.queued_at

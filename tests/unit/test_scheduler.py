"""However requests are batched, chunked, shared and preempted, each gets what it would have got alone.

The engine is replaced at its edge by a model of its memory: every sequence's cells, a pool with a limit, and a next
token that depends on every token before it, so any wrong cell changes the text.
"""

from __future__ import annotations

import sys
import threading
import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.runtime.paths import WORKERS

sys.path.insert(0, str(WORKERS / "llamacpp_server"))
from sampling import SamplingParams
from scheduler import Event, Generation, QueueFull, Scheduler

VOCAB = 50


def next_token(tokens: list[int]) -> int:
    return zlib.crc32(bytes(tokens)) % (VOCAB - 1) + 1


class ModelOfLlama:
    """What llama.cpp promises about its memory, and nothing else."""

    def __init__(self, *, pool: int, batch: int) -> None:
        self.pool, self.batch_size, self.vocab_size, self.vocab = pool, batch, VOCAB, None
        self.end_tokens: frozenset[int] = frozenset({0})
        self.can_share_prefixes = True
        self.sequences: dict[int, list[tuple[int, int]]] = {}  # sequence -> [(cell, token)]
        self.next_cell = 0
        self.rows: dict[int, int] = {}
        self.batches: list[list[tuple[int, int, int, bool]]] = []

    def used(self) -> int:
        return len({cell for cells in self.sequences.values() for cell, _ in cells})

    def decode(self, items: list[tuple[int, int, int, bool]]) -> bool:
        assert 0 < len(items) <= self.batch_size
        if self.used() + len(items) > self.pool:
            return False
        self.batches.append(items)
        self.rows = {}
        for index, (token, position, sequence, wanted) in enumerate(items):
            cells = self.sequences.setdefault(sequence, [])
            assert position == len(cells), "a sequence's positions must be contiguous"
            cells.append((self.next_cell, token))
            self.next_cell += 1
            if wanted:
                self.rows[index] = next_token([t for _, t in cells])
        return True

    def logits(self, index: int) -> np.ndarray:
        row = np.zeros(VOCAB, np.float32)
        row[self.rows[index]] = 1
        return row

    def forget(self, sequence: int, from_position: int = 0) -> bool:
        self.sequences[sequence] = self.sequences.get(sequence, [])[:from_position]
        return True

    def share_prefix(self, source: int, target: int, length: int) -> None:
        assert not self.sequences.get(target)
        assert len(self.sequences[source]) >= length
        self.sequences[target] = self.sequences[source][:length]

    def piece(self, token: int) -> bytes:
        return b"%d " % token


def serve(
    prompts: list[list[int]], *, slots: int, pool: int, batch: int, chunk: int, max_tokens: int, reuse: bool
) -> tuple[list[str], ModelOfLlama, list[Generation], Scheduler]:
    texts: dict[int, str] = {}
    done, left = threading.Event(), len(prompts)

    def flush(events: list[Event]) -> None:
        nonlocal left
        for event in events:
            assert event.error is None, event.error
            texts[id(event.generation)] = texts.get(id(event.generation), "") + event.text
            left -= event.finish is not None
        if not left:
            done.set()

    llama = ModelOfLlama(pool=pool, batch=batch)
    scheduler = Scheduler(llama, slots=slots, queue=1000, prefill_chunk=chunk, reuse=reuse, flush=flush)
    params = SamplingParams(temperature=0)
    generations = [Generation(p, params, max_tokens=max_tokens, stops=[], deliver=lambda _: None) for p in prompts]
    scheduler.submit(generations)
    scheduler.start()
    assert done.wait(30)
    scheduler.stop()
    return [texts[id(g)] for g in generations], llama, generations, scheduler


def alone(prompt: list[int], max_tokens: int) -> str:
    tokens = list(prompt)
    for _ in range(max_tokens):
        tokens.append(next_token(tokens))
    return "".join(f"{t} " for t in tokens[len(prompt) :])


token_lists = st.lists(st.integers(1, VOCAB - 1), min_size=1, max_size=40)


@st.composite
def families(draw: st.DrawFn) -> list[list[int]]:
    """Prompts that share beginnings, as real ones do."""
    heads = draw(st.lists(token_lists, min_size=1, max_size=3))
    tails = draw(st.lists(st.tuples(st.integers(0, 2), token_lists), min_size=1, max_size=12))
    return [heads[i % len(heads)] * 3 + tail for i, tail in tails]


@settings(max_examples=150, deadline=None)
@given(
    families(), st.integers(1, 6), st.integers(200, 1200), st.integers(8, 64), st.integers(1, 32), st.integers(1, 24),
    st.booleans(),
)  # fmt: skip
def test_each_request_gets_what_it_would_have_got_alone(
    prompts: list[list[int]], slots: int, pool: int, batch: int, chunk: int, max_tokens: int, reuse: bool
) -> None:
    texts, llama, _, _ = serve(
        prompts, slots=slots, pool=pool, batch=max(batch, slots), chunk=chunk, max_tokens=max_tokens, reuse=reuse
    )
    assert texts == [alone(p, max_tokens) for p in prompts]
    assert llama.used() <= pool


def test_a_long_prompt_does_not_stall_running_streams() -> None:
    short, long = [1, 2, 3], list(range(1, 50)) * 20
    _, llama, _, _ = serve([short, long], slots=2, pool=5000, batch=512, chunk=64, max_tokens=40, reuse=True)
    running_since = next(i for i, b in enumerate(llama.batches) if any(s == 0 and p == 3 for _, p, s, _ in b))
    for batch in llama.batches[running_since : running_since + 12]:
        assert sum(sequence == 1 for _, _, sequence, _ in batch) <= 64
        assert sum(sequence == 0 for _, _, sequence, _ in batch) == 1  # the stream advances in every step


def test_a_shared_beginning_is_computed_once() -> None:
    head = [(i * 7) % 49 + 1 for i in range(400)]
    prompts = [[*head, 1 + i, 2, 3] for i in range(8)]
    _, llama, generations, _ = serve(prompts, slots=8, pool=9000, batch=512, chunk=128, max_tokens=4, reuse=True)
    assert sum(len(b) for b in llama.batches) < 400 + 8 * 30
    assert [g.cached_tokens for g in generations] == [0] + [400] * 7


def test_an_overfull_queue_is_refused_whole() -> None:
    scheduler = Scheduler(
        ModelOfLlama(pool=100, batch=8), slots=1, queue=2, prefill_chunk=8, reuse=True, flush=lambda _: None
    )

    def request() -> list[Generation]:
        return [Generation([1], SamplingParams(temperature=0), max_tokens=1, stops=[], deliver=lambda _: None)]

    for _ in range(3):
        scheduler.submit(request())
    try:
        scheduler.submit(request())
    except QueueFull as full:
        assert full.retry_after_s >= 1
    else:
        raise AssertionError("the fourth request must be refused")
    assert scheduler.load()["waiting"] == 3

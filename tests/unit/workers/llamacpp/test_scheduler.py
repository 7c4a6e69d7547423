"""However requests share the engine, each gets what it would have got alone.

They are batched, chunked, drafted ahead and preempted; prefixes are shared.

The engine is replaced at its edge by a model of its memory: every sequence's cells, a pool with a
limit, and a next token that depends on every token before it, so any wrong cell changes the text.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llamacpp.server.batches import SCORED_BESIDE
from llamacpp.server.drafting import Drafter, DraftModel, DraftRequest, PromptLookup
from llamacpp.server.generation import Generation, StepOutput
from llamacpp.server.sampling import SamplingParams
from llamacpp.server.scheduler import QueueFull, Scheduler, SchedulerOptions
from tests.unit.workers.llamacpp.vocabulary import SIZE, NumberedVocabulary

VOCAB = SIZE


def next_token(tokens: list[int], adapters: list[int]) -> int:
    """Depends on all tokens and what computed them; two times of three the text repeats itself."""
    hashed = zlib.crc32(bytes([*tokens, *adapters]))
    return tokens[-5] if len(tokens) > 5 and hashed % 3 else hashed % (VOCAB - 1) + 1


class ModelOfLlama:
    """What llama.cpp promises about its memory, and nothing else."""

    def __init__(self, *, pool: int, batch: int, share: int = 0) -> None:
        self.pool = pool
        self.share = share
        self.is_divided = share > 0
        self.batch_size = batch
        self.can_share_prefixes = True
        self.sequences: dict[
            int, list[tuple[int, int, int]]
        ] = {}  # sequence -> [(cell, token, adapter)]
        self.next_cell = self.adapter = 0
        self.rows: dict[int, int] = {}
        self.batches: list[list[tuple[int, int, int, bool]]] = []
        self.layouts: list[bool] = []

    def divide(self, *, divided: bool) -> None:
        assert not any(self.sequences.values()), "what is running loses its cells"
        assert self.share
        self.is_divided = divided
        self.layouts.append(divided)

    def use_adapter(self, number: int) -> None:
        self.adapter = number

    def used(self) -> int:
        return len({cell for cells in self.sequences.values() for cell, _, _ in cells})

    def decode(self, items: list[tuple[int, int, int, bool]]) -> bool:
        assert 0 < len(items) <= self.batch_size
        if self.is_divided:
            coming = Counter(sequence for _, _, sequence, _ in items)
            for sequence, count in coming.items():
                held = len(self.sequences.get(sequence, []))
                assert held + count <= self.share, "llama.cpp would find no slot"
        elif self.used() + len(items) > self.pool:
            return False
        self.batches.append(items)
        self.rows = {}
        for index, (token, position, sequence, wanted) in enumerate(items):
            cells = self.sequences.setdefault(sequence, [])
            assert position == len(cells), "a sequence's positions must be contiguous"
            cells.append((self.next_cell, token, self.adapter))
            self.next_cell += 1
            if wanted:
                self.rows[index] = next_token([t for _, t, _ in cells], [a for _, _, a in cells])
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


def serve(
    prompts: list[list[int]],
    *,
    slots: int,
    pool: int,
    batch: int,
    chunk: int,
    max_tokens: int,
    reuse: bool,
    adapters: int = 1,
    drafter: Drafter | None = None,
    scores: bool = False,
    share: int = 0,
) -> tuple[list[str], ModelOfLlama, list[Generation], Scheduler]:
    texts: dict[int, str] = {}
    done = threading.Event()
    left = len(prompts)

    def flush(outputs: list[StepOutput]) -> None:
        nonlocal left
        for output in outputs:
            assert output.failure is None, output.failure
            texts[id(output.generation)] = texts.get(id(output.generation), "") + output.text
            left -= output.finish is not None
        if not left:
            done.set()

    llama = ModelOfLlama(pool=pool, batch=batch, share=share)
    options = SchedulerOptions(slots=slots, queue=1000, prefill_chunk=chunk, reuse=reuse)
    scheduler = Scheduler(llama, NumberedVocabulary(), options, flush=flush, drafter=drafter)
    params = SamplingParams(temperature=0, top_logprobs=1 if scores else -1)
    generations = [
        Generation(
            p,
            params,
            max_tokens=max_tokens,
            stops=[],
            deliver=lambda _: None,
            scores_prompt=scores,
        )
        for p in prompts
    ]
    for number, generation in enumerate(generations):
        generation.adapter = number % adapters
    scheduler.submit(generations)
    scheduler.start()
    assert done.wait(30)
    scheduler.stop()
    return [texts[id(g)] for g in generations], llama, generations, scheduler


def alone(prompt: list[int], max_tokens: int, adapter: int = 0) -> str:
    tokens = list(prompt)
    for _ in range(max_tokens):
        tokens.append(next_token(tokens, [adapter] * len(tokens)))
    return "".join(f"{t} " for t in tokens[len(prompt) :])


class Guesser:
    """Right, wrong and half right by turns, and as often too short."""

    most = 5

    def draft(self, requests: list[DraftRequest]) -> dict[int, list[int]]:
        found = {}
        for sequence, tokens, _, most in requests:
            ahead: list[int] = []
            for i in range(len(tokens) % (most + 1)):
                token = next_token([*tokens, *ahead], [0] * (len(tokens) + i))
                ahead.append(token if (len(tokens) + i) % 4 else token % 7 + 1)
            found[sequence] = ahead
        return found


DRAFTERS = {
    "none": lambda: None,
    "guesser": Guesser,
    "prompt lookup": lambda: PromptLookup(5),
    "draft model": lambda: DraftModel(ModelOfLlama(pool=2000, batch=16), 5),
    "draft model without room": lambda: DraftModel(ModelOfLlama(pool=60, batch=16), 5),
}
token_lists = st.lists(st.integers(1, VOCAB - 1), min_size=1, max_size=40)


@st.composite
def families(draw: st.DrawFn) -> list[list[int]]:
    """Prompts that share beginnings, as real ones do."""
    heads = draw(st.lists(token_lists, min_size=1, max_size=3))
    tails = draw(st.lists(st.tuples(st.integers(0, 2), token_lists), min_size=1, max_size=12))
    return [heads[i % len(heads)] * 3 + tail for i, tail in tails]


@settings(max_examples=150, deadline=None)
@given(
    families(),
    st.integers(1, 6),
    st.integers(200, 1200),
    st.integers(8, 64),
    st.integers(1, 32),
    st.integers(1, 24),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from(sorted(DRAFTERS)),
    st.sampled_from([0, 20, 60, 150]),
)
def test_each_request_gets_what_it_would_have_got_alone(
    prompts: list[list[int]],
    slots: int,
    pool: int,
    batch: int,
    chunk: int,
    max_tokens: int,
    reuse: bool,
    adapters: int,
    drafter: str,
    share: int,
) -> None:
    texts, llama, _, _ = serve(
        prompts,
        slots=slots,
        pool=pool,
        batch=max(batch, slots),
        chunk=chunk,
        max_tokens=max_tokens,
        reuse=reuse,
        adapters=adapters,
        drafter=DRAFTERS[drafter](),
        share=min(share, pool // slots),
    )
    assert texts == [alone(p, max_tokens, i % adapters) for i, p in enumerate(prompts)]
    assert llama.used() <= pool


def test_one_that_outgrows_its_share_gets_the_pool_and_others_lose_nothing() -> None:
    prompts = [[1, 2, 3], [4, 5, 6]]
    texts, llama, generations, scheduler = serve(
        prompts,
        slots=2,
        pool=200,
        batch=16,
        chunk=8,
        max_tokens=60,
        reuse=True,
        share=40,
    )
    assert texts == [alone(prompt, 60) for prompt in prompts]
    assert llama.layouts == [False]
    assert scheduler.counters.preemptions == 2
    assert [generation.finish for generation in generations] == ["length"] * 2


def test_short_ones_keep_their_shares() -> None:
    prompts = [[1 + number, 2, 3] for number in range(12)]
    texts, llama, _, scheduler = serve(
        prompts,
        slots=4,
        pool=160,
        batch=16,
        chunk=8,
        max_tokens=30,
        reuse=True,
        share=40,
    )
    assert texts == [alone(prompt, 30) for prompt in prompts]
    assert (llama.layouts, scheduler.counters.preemptions) == ([], 0)


def test_a_long_prompt_does_not_stall_running_streams() -> None:
    short = [1, 2, 3]
    long = list(range(1, 50)) * 20
    _, llama, _, _ = serve(
        [short, long], slots=2, pool=5000, batch=512, chunk=64, max_tokens=40, reuse=True
    )
    running_since = next(
        i for i, b in enumerate(llama.batches) if any(s == 0 and p == 3 for _, p, s, _ in b)
    )
    for batch in llama.batches[running_since : running_since + 12]:
        assert sum(sequence == 1 for _, _, sequence, _ in batch) <= 64
        assert (
            sum(sequence == 0 for _, _, sequence, _ in batch) == 1
        )  # the stream advances in every step


def test_many_prompts_do_not_wait_for_a_few_streams() -> None:
    """One that waits gets a chunk, and more the more wait for each stream that runs."""
    prompts = [[number, *range(1, 50), *range(1, 11)] for number in range(1, 9)]
    _, llama, _, _ = serve(
        prompts, slots=8, pool=5000, batch=120, chunk=20, max_tokens=40, reuse=False
    )
    computed = Counter[int]()
    seen = []
    for batch in llama.batches:
        waiting = sum(computed[sequence] < 60 for sequence in range(8))
        decoding = 8 - waiting
        taken = Counter(sequence for _, position, sequence, _ in batch if position < 60)
        computed += taken
        if waiting and decoding:
            seen.append((decoding, waiting, taken.total()))
    assert seen[0] == (2, 6, 70)  # 20 x (2 + 5) / 2
    assert seen[-1][1:] == (1, 20)
    steps = len(seen)
    assert steps < 8 * 60 // 20 / 2
    for decoding, waiting, count in seen:
        assert count <= 20 * (decoding + waiting - 1) // decoding


def test_a_prompt_that_is_scored_does_not_stall_running_streams() -> None:
    """Each of its tokens takes a pass over the vocabulary."""
    long = list(range(1, 50)) * 10
    _, llama, generations, _ = serve(
        [[1, 2, 3], long, long],
        slots=3,
        pool=5000,
        batch=512,
        chunk=256,
        max_tokens=80,
        reuse=False,
        scores=True,
    )
    running = [b for b in llama.batches if any(s == 0 and p >= 3 for _, p, s, _ in b)]
    scored = [sum(s > 0 and wanted for _, _, s, wanted in batch) for batch in running[:25]]
    assert max(scored) <= SCORED_BESIDE + 2  # with the tokens of those that have been read
    assert all(len(each.prompt_logprobs) == each.prompt_tokens - 1 for each in generations)


def test_right_guesses_save_steps_and_wrong_ones_stop() -> None:
    shape = {"slots": 1, "pool": 3000, "batch": 64, "chunk": 64, "max_tokens": 120, "reuse": True}
    prompt = [1, 2, 3, 4, 5] * 4
    _, _, _, plain = serve([prompt], **shape)
    _, _, _, right = serve(
        [prompt], **shape, drafter=DraftModel(ModelOfLlama(pool=3000, batch=64), 5)
    )
    assert right.counters.steps < plain.counters.steps / 4
    assert right.counters.accepted_tokens == right.counters.guessed_tokens

    class Liar:
        most = 5

        def draft(self, requests: list[DraftRequest]) -> dict[int, list[int]]:
            return {
                s: [next_token(tokens, [0] * len(tokens)) % 7 + 30] * most
                for s, tokens, _, most in requests
            }

    _, _, _, wrong = serve([prompt], **shape, drafter=Liar())
    assert wrong.counters.guessed_tokens < 20


def test_a_shared_beginning_is_computed_once() -> None:
    head = [(i * 7) % 49 + 1 for i in range(400)]
    prompts = [[*head, 1 + i, 2, 3] for i in range(8)]
    _, llama, generations, _ = serve(
        prompts, slots=8, pool=9000, batch=512, chunk=128, max_tokens=4, reuse=True
    )
    assert sum(len(b) for b in llama.batches) < 400 + 8 * 30
    assert [g.cached_tokens for g in generations] == [0] + [400] * 7


def test_an_overfull_queue_is_refused_whole() -> None:
    options = SchedulerOptions(slots=1, queue=2, prefill_chunk=8, reuse=True)
    model = ModelOfLlama(pool=100, batch=8)
    scheduler = Scheduler(model, NumberedVocabulary(), options, flush=lambda _: None)

    def request() -> list[Generation]:
        return [
            Generation(
                [1], SamplingParams(temperature=0), max_tokens=1, stops=[], deliver=lambda _: None
            )
        ]

    for _ in range(3):
        scheduler.submit(request())
    try:
        scheduler.submit(request())
    except QueueFull as full:
        assert full.retry_after_s >= 1
    else:
        raise AssertionError("the fourth request must be refused")
    assert scheduler.load().waiting == 3


@settings(max_examples=40, deadline=None)
@given(
    families(),
    st.integers(1, 4),
    st.integers(200, 600),
    st.integers(8, 64),
    st.integers(1, 32),
    st.sampled_from([0, 60]),
)
def test_every_token_of_a_prompt_is_scored_once_whatever_shares_the_engine(
    prompts: list[list[int]],
    slots: int,
    pool: int,
    batch: int,
    chunk: int,
    share: int,
) -> None:
    _, _, generations, _ = serve(
        prompts,
        slots=slots,
        pool=pool,
        batch=batch,
        chunk=chunk,
        max_tokens=2,
        reuse=True,
        scores=True,
        share=share,
    )
    for prompt, generation in zip(prompts, generations, strict=True):
        scored = generation.prompt_logprobs
        assert [each.token for each in scored] == prompt[1:]
        likeliest = [each.top[0][0] for each in scored]
        before = [prompt[:length] for length in range(1, len(prompt))]
        assert likeliest == [next_token(tokens, [0] * len(tokens)) for tokens in before]


def test_a_prompt_can_be_scored_without_an_answer() -> None:
    texts, _, generations, _ = serve(
        [[1, 2, 3]], slots=1, pool=50, batch=8, chunk=8, max_tokens=0, reuse=True, scores=True
    )
    assert texts == [""]
    assert generations[0].finish == "length"
    assert len(generations[0].prompt_logprobs) == 2

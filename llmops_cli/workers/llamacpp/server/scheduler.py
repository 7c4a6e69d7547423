"""Continuous batching: one thread that decides, step by step, which tokens to compute.

Each step takes one token from every decoding generation, and a draft of the next if there is a
drafter, and fills the rest of the batch with prompt tokens. Adapters hold for a whole batch, so
each step computes one batch for every adapter in use.
"""

import time
from collections.abc import Callable

import msgspec

from _shared.grammars.nodes import GrammarError
from _shared.queue_thread import QueueThread
from llamacpp.server.batches import ScoredChunk, StepBatch, plan_batch
from llamacpp.server.drafting import Drafter, DraftRequest, Drafts, DraftState
from llamacpp.server.generation import FinishReason, Generation, GenerationFailure, StepOutput
from llamacpp.server.layout import CellLayout
from llamacpp.server.model import TokenModel
from llamacpp.server.prefixes import Tokens
from llamacpp.server.sampling import Sampler, logprob_of
from llamacpp.server.slots import Running, SlotPool
from llamacpp.server.turns import GrammarTurns
from llamacpp.server.vocabulary import Vocabulary

LONGEST_RETRY_S = 60


class QueueFull(Exception):
    """Too many waiting requests; retry after about `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("queue full")
        self.retry_after_s = retry_after_s


class SchedulerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Sequences at once, waiting generations, prompt tokens in a step beside running streams."""

    slots: int
    queue: int
    prefill_chunk: int
    reuse: bool


class SchedulerCounters(msgspec.Struct, kw_only=True):
    """Since start. Only the scheduler's thread writes them."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    steps: int = 0
    preemptions: int = 0
    guessed_tokens: int = 0
    accepted_tokens: int = 0


class SchedulerLoad(msgspec.Struct, frozen=True, kw_only=True):
    """As it is now. Cells of running requests and of kept prefixes both count as used.

    `kv_unified`: 1 while all sequences have one pool of cells, 0 while each has its share.
    """

    running: int
    waiting: int
    kv_cells: int
    kv_use: float
    kv_unified: int
    batch_tokens: int


class Scheduler:
    """Owns the model; every other thread only submits, cancels and reads counters."""

    def __init__(
        self,
        model: TokenModel,
        vocabulary: Vocabulary,
        options: SchedulerOptions,
        *,
        flush: Callable[[list[StepOutput]], None],
        drafter: Drafter | None = None,
    ) -> None:
        """`flush` gets what a step produced, in the scheduler's thread."""
        self._model = model
        self._vocabulary = vocabulary
        self._options = options
        self._flush = flush
        self._drafter = drafter
        self._most_drafted = drafter.most if drafter else 0
        self._pool = SlotPool(model, options.slots, reuse=options.reuse)
        self._layout = CellLayout(model, sequences=options.slots)
        self._turns = GrammarTurns()
        self._skipping: frozenset[Running] = frozenset()
        self._outputs: list[StepOutput] = []
        self._step_tokens = 0
        self._mean_s = 1.0
        self._queue: QueueThread[Generation] = QueueThread(
            "scheduler",
            self._serve,
            has_more=self._pool.has_running,
        )
        self.counters = SchedulerCounters()

    def start(self) -> None:
        self._queue.start()

    def stop(self) -> None:
        self._queue.stop()

    @property
    def alive(self) -> bool:
        return self._queue.alive

    @property
    def most(self) -> int:
        """Generations that can be computed and wait at once."""
        return self._options.slots + self._options.queue

    def submit(self, generations: list[Generation]) -> None:
        """Queues all or none of a request's generations. Raises: QueueFull."""
        free = self._pool.count_free()
        room = self._options.queue + free
        if not self._queue.put(generations, room=room):
            raise QueueFull(self._retry_after_s())

    def _retry_after_s(self) -> int:
        ahead = len(self._queue.waiting) // self._options.slots
        waves = 1 + ahead
        expected_s = round(self._mean_s * waves)
        return max(1, min(LONGEST_RETRY_S, expected_s))

    def load(self) -> SchedulerLoad:
        cells = self._pool.count_cells()
        free = self._pool.count_free()
        running = self._options.slots - free
        return SchedulerLoad(
            running=running,
            waiting=len(self._queue.waiting),
            kv_cells=cells,
            kv_use=cells / self._model.pool,
            kv_unified=int(not self._model.is_divided),
            batch_tokens=self._step_tokens,
        )

    def _serve(self) -> None:
        try:
            self._step()
        except Exception as error:  # noqa: BLE001 - fail what runs, keep serving
            self._fail_all(f"{type(error).__name__}: {error}")
        if self._outputs:
            self._flush(self._outputs)
            self._outputs = []

    def _step(self) -> None:
        self._drop_cancelled()
        self._lay_out()
        self._admit()
        self._step_tokens = 0
        self._skipping = self._turns.waiting(self._pool.running())
        adapters = {each.generation.adapter for each in self._pool.running()}
        for adapter in sorted(adapters):
            self._compute(adapter)

    def _drop_cancelled(self) -> None:
        with self._queue.lock:
            waiting = self._queue.waiting
            for generation in [each for each in waiting if each.cancelled]:
                waiting.remove(generation)
        for running in self._pool.running():
            if running.generation.cancelled:
                self._pool.release(running)
                running.generation.close()

    def _lay_out(self) -> None:
        """A pool for long requests, shares for short ones: before anything is begun in a step."""
        running = self._pool.running()
        longest = max((each.next_length for each in running), default=0)
        if self._queue.waiting and len(running) < self._options.slots:
            first = self._queue.waiting[0]
            longest = max(longest, len(first.tokens))
        if not self._layout.must_change(longest, idle=not running):
            return
        for each in sorted(running, key=_queued_at, reverse=True):
            self._put_back(each)
        self._pool.clear_all()
        self._layout.change()

    def _admit(self) -> None:
        """Gives waiting generations a slot each, as long as there are both."""
        waiting = self._queue.waiting
        while waiting:
            first = waiting[0]
            slot = self._pool.best_free(first)
            if slot is None or not self._layout.holds(len(first.tokens)):
                return
            with self._queue.lock:
                generation = waiting.popleft()
            sampler = self._sampler_of(generation)
            draft = DraftState(self._most_drafted)
            running = Running(generation, slot, sampler, draft)
            self._pool.occupy(running)

    def _sampler_of(self, generation: Generation) -> Sampler:
        """The one it has had before a preemption, or a new one."""
        if generation.sampler is None:
            window = self._model.pool
            generation.sampler = Sampler(self._vocabulary, generation.params, window=window)
        return generation.sampler

    def _compute(self, adapter: int) -> None:
        """Runs and samples one batch of the generations with this adapter."""
        drafts: Drafts = {}
        if self._drafter is not None:
            drafts = self._draft(self._drafter, adapter)
        batch = self._plan(adapter, drafts)
        if not batch.items:
            return
        self._model.use_adapter(adapter)
        while not self._model.decode(batch.items):
            if drafts:
                drafts = {}  # they are worth less than what would be dropped for them
            else:
                self._make_room()
            batch = self._plan(adapter, drafts)
            if not batch.items:
                return
        self.counters.steps += 1
        self._step_tokens += len(batch.items)
        slots = self._pool.slots
        for token, _, sequence, _ in batch.items:
            slots[sequence].cells.append(token)
        for chunk in batch.scored:
            self._score(chunk)
        for running, index in batch.outputs:
            draft = drafts.get(running.slot.sequence, [])
            if self._turns.is_spent and running.sampler.has_grammar:
                self._pool.put_off(running, 1 + len(draft))
            else:
                self._advance(running, index, draft)

    def _score(self, chunk: ScoredChunk) -> None:
        """Log-probabilities of the prompt's tokens that follow those of the chunk."""
        generation = chunk.running.generation
        for offset in range(chunk.length):
            following = chunk.position + offset + 1
            # After a preemption the same tokens are computed again.
            is_new = len(generation.prompt_logprobs) == following - 1
            if is_new and following < generation.prompt_tokens:
                row = self._model.logits(chunk.batch_index + offset)
                token = generation.tokens[following]
                scored = logprob_of(row, token, generation.params.top_logprobs)
                generation.prompt_logprobs.append(scored)

    def _active(self, adapter: int) -> list[Running]:
        running = self._pool.running()
        return [
            each
            for each in running
            if each.generation.adapter == adapter and each not in self._skipping
        ]

    def _plan(self, adapter: int, drafts: Drafts) -> StepBatch:
        return plan_batch(
            self._active(adapter),
            drafts,
            batch_size=self._model.batch_size,
            prefill_chunk=self._options.prefill_chunk,
            begin=self._begin,
        )

    def _begin(self, running: Running) -> bool:
        if not self._pool.begin(running):
            return False
        generation = running.generation
        if generation.cached_tokens is None:
            generation.cached_tokens = len(running.slot.cells)
            self.counters.cached_tokens += generation.cached_tokens
            self.counters.prompt_tokens += generation.prompt_tokens
        return True

    def _draft(self, drafter: Drafter, adapter: int) -> Drafts:
        """Drafts of decoding generations; together at most half of a chunk of prompt tokens."""
        decoding = [each for each in self._active(adapter) if each.is_decoding]
        free = self._model.batch_size - len(decoding)
        room = min(free, self._options.prefill_chunk // 2)
        requests = []
        for running in decoding:
            generation = running.generation
            still_wanted = generation.max_tokens - generation.output_tokens - 1
            most = min(running.draft.window.next_length(), still_wanted, room)
            if most > 0:
                sequence = running.slot.sequence
                request = DraftRequest(sequence, generation.tokens, running.draft, most)
                requests.append(request)
                room -= most
        if not requests:
            return {}
        return drafter.draft(requests)

    def _make_room(self) -> None:
        """Frees cells: first what no request uses, then those of the generation that came last."""
        if self._pool.clear_longest_unused():
            return
        running = self._pool.running()
        victim = max(running, key=_queued_at)
        if len(running) == 1:
            victim.slot.running = None
            self._pool.clear(victim.slot)
            self._end(victim.generation, "length")
            return
        self._put_back(victim)

    def _put_back(self, running: Running) -> None:
        """Waits again, before all others; its tokens so far become its prompt."""
        running.slot.running = None
        self._pool.clear(running.slot)
        self.counters.preemptions += 1
        with self._queue.lock:
            self._queue.waiting.appendleft(running.generation)

    def _advance(
        self,
        running: Running,
        index: int,
        draft: Tokens,
    ) -> None:
        """Samples the next tokens: one, and one more for every drafted one that was right."""
        generation = running.generation
        failure: GenerationFailure | None = None
        try:
            if not draft:
                self._take_token(running, index)
            else:
                self._verify(running, index, draft)
        except (GrammarError, RecursionError) as error:
            generation.finish = "error"
            failure = GenerationFailure(f"grammar: {error}", is_clients_fault=True)
        self._turns.count(running)
        if generation.finish is not None:
            self._pool.release(running)
            self._end(generation, generation.finish, failure=failure)

    def _verify(
        self,
        running: Running,
        index: int,
        draft: Tokens,
    ) -> None:
        """Keeps as much of the draft as the sampler agrees with, and the cells of that."""
        accepted = 0
        while True:
            token = self._take_token(running, index + accepted)
            if token is None or accepted == len(draft) or token != draft[accepted]:
                break
            accepted += 1
        wrong = len(draft) - accepted
        if wrong:
            self._pool.drop_last(running.slot, wrong)
        drafted = len(draft)
        running.draft.window.learn(drafted=drafted, accepted=accepted)
        self.counters.guessed_tokens += drafted
        self.counters.accepted_tokens += accepted

    def _take_token(self, running: Running, index: int) -> int | None:
        """Samples one token and sends its text; None if that was the generation's end."""
        generation = running.generation
        if generation.max_tokens == 0:
            generation.finish = "length"
            return None
        token, logprob = running.sampler.pick(self._model.logits(index))
        if generation.first_at is None:
            generation.first_at = time.monotonic()
        if token in self._vocabulary.end_tokens:
            generation.finish = "stop"
            return None
        generation.tokens.append(token)
        generation.output_tokens += 1
        self.counters.output_tokens += 1
        if logprob is not None:
            generation.unsent_logprobs.append(logprob)
        piece = self._vocabulary.piece(token, special=token in generation.shown)
        text = generation.detokenizer.feed(piece)
        if generation.detokenizer.stopped or running.sampler.is_over:
            generation.finish = "stop"
        elif generation.output_tokens >= generation.max_tokens:
            generation.finish = "length"
        if text or (generation.finish is not None and generation.unsent_logprobs):
            self._outputs.append(StepOutput(generation, text, generation.unsent_logprobs))
            generation.unsent_logprobs = []
        if generation.finish is not None:
            return None
        return token

    def _end(
        self,
        generation: Generation,
        finish: FinishReason,
        *,
        failure: GenerationFailure | None = None,
    ) -> None:
        rest = generation.detokenizer.finish()
        output = StepOutput(
            generation, rest, generation.unsent_logprobs, finish=finish, failure=failure
        )
        self._outputs.append(output)
        generation.close()
        took_s = time.monotonic() - generation.queued_at
        self._mean_s += 0.1 * (took_s - self._mean_s)

    def _fail_all(self, reason: str) -> None:
        for slot in self._pool.slots:
            running = slot.running
            slot.running = None
            self._pool.clear(slot)
            if running is not None:
                failure = GenerationFailure(reason)
                self._end(running.generation, "error", failure=failure)


def _queued_at(running: Running) -> float:
    return running.generation.queued_at

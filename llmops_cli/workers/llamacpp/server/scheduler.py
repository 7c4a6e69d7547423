"""Continuous batching: one thread that decides, step by step, which tokens of which requests to
compute.

Each step takes one token from every running generation, and guesses of the next if there is a
drafter, and fills the rest of the batch with prompt tokens, first come first served. A slot keeps
its tokens in the KV pool after its request ends, so that a later request with the same beginning
starts from there. Adapters hold for a whole batch, so each step computes one batch for every
adapter in use.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from llamacpp.server.binding import BatchItem, Llama
from llamacpp.server.drafting import Draft, Drafter, common_prefix
from llamacpp.server.sampling import Sampler, SamplingParams, TokenLogprob
from llamacpp.server.textstream import TextStream

MIN_SHARED = 8
"""Shorter common beginnings are computed again: cheaper than a step of waiting for them."""
DEFER_GAIN = 64
"""A prompt waits a step if a neighbour that is being read now will spare it this many tokens."""


class QueueFull(Exception):
    """Too many waiting requests; retry after about `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("queue full")
        self.retry_after_s = retry_after_s


class Event:
    """What one step produced for one generation: text, log-probabilities, and the reason if it
    ended.
    """

    __slots__ = ("error", "finish", "generation", "logprobs", "text")

    def __init__(
        self, generation: "Generation", text: str, logprobs: list[TokenLogprob], finish: str | None
    ) -> None:
        self.generation = generation
        self.text = text
        self.logprobs = logprobs
        self.finish = finish
        self.error: str | None = None


class Generation:
    """One choice of one request, from queue to last token."""

    def __init__(
        self,
        prompt: list[int],
        params: SamplingParams,
        *,
        max_tokens: int,
        stops: list[str],
        deliver: Callable[[Event], None],
    ) -> None:
        self.adapter = 0
        self.draft: Draft | None = None
        self.tokens = list(prompt)
        self.prompt_tokens = len(prompt)
        self.params = params
        self.max_tokens = max_tokens
        self.deliver = deliver
        self.stream = TextStream(stops)
        self.sampler: Sampler | None = None
        self.output_tokens = 0
        self.cached_tokens: int | None = None
        self.cancelled = False
        self.finish: str | None = None
        self.started = False  # whether its slot was set up; again False after a preemption
        self.pending_logprobs: list[TokenLogprob] = []
        self.queued_at = time.monotonic()
        self.first_at: float | None = None


class Slot:
    """One sequence of the KV pool. `cells` are the tokens whose keys and values are there, as
    `adapter` made them.
    """

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.cells: list[int] = []
        self.adapter = 0
        self.generation: Generation | None = None
        self.used_at = 0.0

    @property
    def remaining(self) -> int:
        """Tokens of its generation that are not computed yet: 1 while it generates."""
        return len(self.generation.tokens) - len(self.cells) if self.generation else 0


class Scheduler:
    """Owns the Llama; every other thread only submits, cancels and reads counters."""

    def __init__(
        self,
        llama: Llama,
        *,
        slots: int,
        queue: int,
        prefill_chunk: int,
        reuse: bool,
        flush: Callable[[list[Event]], None],
        drafter: Drafter | None = None,
        most_guessed: int = 0,
    ) -> None:
        self._drafter = drafter
        self._most_guessed = most_guessed
        self._llama = llama
        self._queue_limit = queue
        self._prefill_chunk = prefill_chunk
        self._reuse = reuse and llama.can_share_prefixes
        self._flush = flush
        self._slots = [Slot(i) for i in range(slots)]
        self._waiting: deque[Generation] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._events: list[Event] = []
        self.counters = {
            "prompt_tokens": 0,
            "cached_tokens": 0,
            "output_tokens": 0,
            "steps": 0,
            "preemptions": 0,
            "guessed_tokens": 0,
            "accepted_tokens": 0,
        }
        self.step_tokens = 0
        self._mean_s = 1.0
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout=10)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, generations: list[Generation]) -> None:
        """Queues all or none of a request's generations. Raises: QueueFull."""
        with self._wake:
            free = sum(slot.generation is None for slot in self._slots)
            if len(self._waiting) + len(generations) > self._queue_limit + free:
                waves = 1 + len(self._waiting) // len(self._slots)
                raise QueueFull(max(1, min(60, round(self._mean_s * waves))))
            self._waiting.extend(generations)
            self._wake.notify()

    def load(self) -> dict[str, float]:
        """Gauges for /metrics. Cells of a running request and of a prefix kept for later both count
        as used.
        """
        cells = sum(len(slot.cells) for slot in self._slots)
        return {
            "running": sum(slot.generation is not None for slot in self._slots),
            "waiting": len(self._waiting),
            "kv_cells": cells,
            "kv_use": cells / self._llama.pool,
        }

    # -- the thread
    # ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                while (
                    not self._stopping
                    and not self._waiting
                    and not any(s.generation for s in self._slots)
                ):
                    self._wake.wait()
                if self._stopping:
                    return
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - unknown engine state: fail what runs, keep serving
                self._fail_all(f"{type(error).__name__}: {error}")
            if self._events:
                self._flush(self._events)
                self._events = []

    def _step(self) -> None:
        self._drop_cancelled()
        self._admit()
        self.step_tokens = 0
        for adapter in sorted({slot.generation.adapter for slot in self._slots if slot.generation}):
            self._compute(adapter)

    def _compute(self, adapter: int) -> None:
        guesses = self._guess(adapter) if self._drafter else {}
        items, outputs = self._plan(adapter, guesses)
        if not items:
            return
        self._llama.use_adapter(adapter)
        while not self._llama.decode(items):
            if guesses:
                guesses = {}  # they are worth less than what would be dropped for them
            else:
                self._make_room()
            items, outputs = self._plan(adapter, guesses)
            if not items:
                return
        self.counters["steps"] += 1
        self.step_tokens += len(items)
        for token, _, sequence, _ in items:
            self._slots[sequence].cells.append(token)
        for slot, index in outputs:
            self._advance(slot, index, guesses.get(slot.sequence, []))

    def _active(self, adapter: int) -> list[Slot]:
        return [
            slot for slot in self._slots if slot.generation and slot.generation.adapter == adapter
        ]

    def _guess(self, adapter: int) -> dict[int, list[int]]:
        """Next tokens of running generations, by sequence; together at most half of a chunk of
        prompt tokens.
        """
        running = [s for s in self._active(adapter) if s.generation.started and s.remaining == 1]
        room = min(self._llama.batch_size - len(running), self._prefill_chunk // 2)
        wanted = []
        for slot in running:
            generation = slot.generation
            generation.draft = generation.draft or Draft(self._most_guessed)
            most = min(
                generation.draft.wanted(),
                generation.max_tokens - generation.output_tokens - 1,
                room,
            )
            if most > 0:
                wanted.append((slot.sequence, generation.tokens, generation.draft, most))
                room -= most
        return self._drafter.guess(wanted) if wanted else {}

    def _drop_cancelled(self) -> None:
        with self._wake:
            if any(g.cancelled for g in self._waiting):
                self._waiting = deque(g for g in self._waiting if not g.cancelled)
        for slot in self._slots:
            if slot.generation and slot.generation.cancelled:
                self._release(slot)

    def _admit(self) -> None:
        """Gives waiting generations the free slot that already holds most of their beginning."""
        while self._waiting:
            free = [slot for slot in self._slots if slot.generation is None]
            if not free:
                return
            with self._wake:
                generation = self._waiting.popleft()
            slot = max(free, key=lambda s: (self._usable(s, generation), -s.used_at))
            try:
                generation.sampler = generation.sampler or Sampler(self._llama, generation.params)
            except ValueError as error:
                self._end(generation, "error", error=str(error))
                continue
            slot.generation = generation
            slot.used_at = time.monotonic()
            generation.started = False

    def _usable(self, slot: Slot, generation: Generation) -> int:
        same = self._reuse and slot.adapter == generation.adapter
        return common_prefix(slot.cells, generation.tokens) if same else 0

    def _begin(self, slot: Slot) -> bool:
        """Sets the slot up with the longest beginning found anywhere; False to wait for a better
        one.
        """
        generation = slot.generation
        wanted = generation.tokens
        limit = len(wanted) - 1  # the last prompt token must be computed: its logits are needed
        own = min(self._usable(slot, generation), limit)
        best = own
        donor = None
        if self._reuse:
            for other in self._slots:
                if other is slot or other.adapter != generation.adapter:
                    continue
                have = min(common_prefix(other.cells, wanted), limit)
                if have > best:
                    best = have
                    donor = other
                if other.generation and other.remaining > 1 and other.generation.started:
                    coming = min(common_prefix(other.generation.tokens, wanted), limit)
                    if coming - best >= DEFER_GAIN:
                        return False
        if best < MIN_SHARED:
            best = 0
            donor = None
        if donor is not None:
            self._llama.forget(slot.sequence)
            self._llama.share_prefix(donor.sequence, slot.sequence, best)
        elif not self._llama.forget(slot.sequence, best):
            self._llama.forget(slot.sequence)
            best = 0
        slot.cells = wanted[:best]
        slot.adapter = generation.adapter
        if generation.cached_tokens is None:
            generation.cached_tokens = best
            self.counters["cached_tokens"] += best
            self.counters["prompt_tokens"] += generation.prompt_tokens
        generation.started = True
        return True

    def _plan(
        self, adapter: int, guesses: dict[int, list[int]]
    ) -> tuple[list[BatchItem], list[tuple[Slot, int]]]:
        """The adapter's next batch and, for each slot that gets logits, the index of its first ones
        in it.
        """
        items: list[BatchItem] = []
        outputs: list[tuple[Slot, int]] = []
        active = self._active(adapter)
        running = [s for s in active if s.generation.started and s.remaining == 1]
        for slot in running:
            outputs.append((slot, len(items)))
            row = [slot.generation.tokens[-1], *guesses.get(slot.sequence, [])]
            items += [
                (token, len(slot.cells) + i, slot.sequence, True) for i, token in enumerate(row)
            ]
        room = self._llama.batch_size - len(items)
        if running:
            room = min(room, self._prefill_chunk + len(running) - len(items))
        reading = [s for s in active if s not in running]
        for slot in sorted(reading, key=lambda s: s.generation.queued_at):
            if room <= 0:
                break
            if not slot.generation.started and not self._begin(slot):
                continue
            start = len(slot.cells)
            chunk = slot.generation.tokens[start : start + room]
            done = start + len(chunk) == len(slot.generation.tokens)
            if done:
                outputs.append((slot, len(items) + len(chunk) - 1))
            last = len(chunk) - 1
            items += [
                (t, start + i, slot.sequence, done and i == last) for i, t in enumerate(chunk)
            ]
            room -= len(chunk)
        return items, outputs

    def _make_room(self) -> None:
        """Frees cells: first what no request uses, oldest first, then the generation that came
        last.
        """
        idle = [s for s in self._slots if s.generation is None and s.cells]
        if idle:
            victim = min(idle, key=lambda s: s.used_at)
            self._clear(victim)
            return
        active = [s for s in self._slots if s.generation]
        victim = max(active, key=lambda s: s.generation.queued_at)
        generation = victim.generation
        self._clear(victim)
        victim.generation = None
        if len(active) == 1:
            self._end(generation, "length")
            return
        self.counters["preemptions"] += 1
        with self._wake:
            self._waiting.appendleft(generation)  # its tokens so far become its prompt

    def _clear(self, slot: Slot) -> None:
        self._llama.forget(slot.sequence)
        slot.cells = []

    def _advance(self, slot: Slot, index: int, guesses: list[int]) -> None:
        """Samples the slot's next tokens: one, and one more for every guess that was right."""
        generation = slot.generation
        computed = len(slot.cells) - len(guesses)
        right = 0
        while True:
            token = self._take(slot, index + right)
            if token is None or right == len(guesses) or token != guesses[right]:
                break
            right += 1
        if right < len(guesses):
            slot.cells = slot.cells[: computed + right]
            self._llama.forget(slot.sequence, computed + right)
        if guesses:
            generation.draft.learn(len(guesses), right)
            self.counters["guessed_tokens"] += len(guesses)
            self.counters["accepted_tokens"] += right
        if generation.finish:
            self._release(slot, generation.finish)

    def _take(self, slot: Slot, index: int) -> int | None:
        """Picks one token and delivers what became text; None if that was the generation's end."""
        generation = slot.generation
        token, logprob = generation.sampler.pick(self._llama.logits(index))
        if generation.first_at is None:
            generation.first_at = time.monotonic()
        if token in self._llama.end_tokens:
            generation.finish = "stop"
            return None
        generation.tokens.append(token)
        generation.output_tokens += 1
        self.counters["output_tokens"] += 1
        if logprob is not None:
            generation.pending_logprobs.append(logprob)
        text = generation.stream.feed(self._llama.piece(token))
        if generation.stream.stopped:
            generation.finish = "stop"
        elif generation.output_tokens >= generation.max_tokens:
            generation.finish = "length"
        if text or generation.finish:
            self._emit(generation, text)
        return None if generation.finish else token

    def _emit(self, generation: Generation, text: str) -> None:
        if text or generation.pending_logprobs:
            self._events.append(Event(generation, text, generation.pending_logprobs, None))
            generation.pending_logprobs = []

    def _release(self, slot: Slot, finish: str | None = None) -> None:
        """Frees the slot but keeps its cells for reuse. Without `finish` nobody listens any
        more.
        """
        generation = slot.generation
        slot.generation = None
        slot.used_at = time.monotonic()
        if not self._reuse:
            self._clear(slot)
        if finish:
            self._end(generation, finish)
        elif generation.sampler:
            generation.sampler.close()

    def _end(self, generation: Generation, finish: str, *, error: str | None = None) -> None:
        event = Event(generation, generation.stream.finish(), generation.pending_logprobs, finish)
        event.error = error
        self._events.append(event)
        if generation.sampler:
            generation.sampler.close()
        self._mean_s += 0.1 * (time.monotonic() - generation.queued_at - self._mean_s)

    def _fail_all(self, reason: str) -> None:
        for slot in self._slots:
            generation = slot.generation
            slot.generation = None
            self._clear(slot)
            if generation:
                self._end(generation, "error", error=reason)

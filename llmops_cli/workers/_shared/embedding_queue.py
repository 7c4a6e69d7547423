"""Texts of several requests in one step: a thread that owns what makes vectors.

Requests take turns, a text each, so a request of a thousand does not hold up one of a single text.
Standard library only.
"""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from _shared.queue_thread import QueueThread

MOST_WAITING_CALLS = 1024

Tokens = list[int]


class VectorModel(Protocol):
    """What makes vectors of texts. It belongs to one thread."""

    def vectors(self, texts: list[Tokens]) -> list[bytes]:
        """One for each: float32, little-endian."""


class EmbeddingsFull(Exception):
    """Too many requests wait."""


@dataclass(frozen=True)
class StepSize:
    """What is computed together at most; a longer text is computed alone."""

    tokens: int
    texts: int


@dataclass
class EmbeddingCounters:
    """Since start. Only the thread writes them."""

    embedding_texts: int = 0
    embedding_tokens: int = 0
    embedding_steps: int = 0


class EmbeddingCall:
    """One request: its texts as tokens, and their vectors as they come.

    The thread writes all but `cancelled`, which the HTTP side sets when nobody listens.
    """

    def __init__(self, texts: list[Tokens]) -> None:
        self.texts = texts
        self.vectors = [b""] * len(texts)
        self.cancelled = False
        self.taken = 0
        self.unfinished = len(texts)
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()

    @property
    def tokens(self) -> int:
        return sum(len(text) for text in self.texts)

    def put(self, number: int, vector: bytes) -> None:
        self.vectors[number] = vector
        self.unfinished -= 1
        if self.unfinished == 0:
            self._loop.call_soon_threadsafe(self._settle, None)

    def fail(self, error: Exception) -> None:
        self.cancelled = True
        self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


EmbeddingStep = list[tuple[EmbeddingCall, int]]
"""Texts that are computed together: whose, and which of its texts."""


class EmbeddingQueue:
    """Computes what waits. `make_model` is called in the thread, when the first request comes."""

    def __init__(self, make_model: Callable[[], VectorModel], step: StepSize) -> None:
        self._make_model = make_model
        self._step = step
        self._model: VectorModel | None = None
        self._queue: QueueThread[EmbeddingCall] = QueueThread("embeddings", self._serve)
        self.counters = EmbeddingCounters()

    def start(self) -> None:
        self._queue.start()

    def stop(self) -> None:
        self._queue.stop()

    @property
    def alive(self) -> bool:
        return self._queue.alive

    def submit(self, call: EmbeddingCall) -> None:
        """Raises: EmbeddingsFull."""
        if not self._queue.put([call], room=MOST_WAITING_CALLS):
            raise EmbeddingsFull

    def _serve(self) -> None:
        step = self._take()
        if not step:
            return
        try:
            self._compute(step)
        except Exception as error:  # noqa: BLE001 - fail what was computed, keep serving
            traceback.print_exc()
            for call, _ in step:
                call.fail(error)

    def _take(self) -> EmbeddingStep:
        """A text of each request in turn, as many as a step has room for; at least one."""
        step: EmbeddingStep = []
        tokens = 0
        waiting = self._queue.waiting
        with self._queue.lock:
            while waiting and len(step) < self._step.texts:
                call = waiting.popleft()
                if call.cancelled:
                    continue
                size = len(call.texts[call.taken])
                if step and tokens + size > self._step.tokens:
                    waiting.appendleft(call)
                    break
                step.append((call, call.taken))
                tokens += size
                call.taken += 1
                if call.taken < len(call.texts):
                    waiting.append(call)
        return step

    def _compute(self, step: EmbeddingStep) -> None:
        if self._model is None:
            self._model = self._make_model()
        texts = [call.texts[number] for call, number in step]
        vectors = self._model.vectors(texts)
        counters = self.counters
        counters.embedding_steps += 1
        counters.embedding_texts += len(texts)
        counters.embedding_tokens += sum(map(len, texts))
        for (call, number), vector in zip(step, vectors, strict=True):
            call.put(number, vector)

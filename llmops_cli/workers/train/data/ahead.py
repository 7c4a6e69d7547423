"""What comes next is made in a thread while the model computes."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Ahead(Generic[Key, Value]):
    """`make`, always called in one and the same thread: what it uses need not be thread-safe.

    An end of the process does not wait for it: a tokenizer may be at a long text.
    """

    def __init__(self, make: Callable[[Key], Value]) -> None:
        self._make = make
        self._wanted: SimpleQueue[tuple[Key, Future[Value]]] = SimpleQueue()
        self._begun: tuple[Key, Future[Value]] | None = None
        threading.Thread(target=self._work, name="data", daemon=True).start()

    def begin(self, key: Key) -> None:
        """Work on it starts. If it fails, that is told to whoever asks for it."""
        future: Future[Value] = Future()
        self._begun = (key, future)
        self._wanted.put((key, future))

    def get(self, key: Key) -> Value:
        if self._begun is None or self._begun[0] != key:
            self.begin(key)
        assert self._begun is not None
        _, future = self._begun
        self._begun = None
        return future.result()

    def _work(self) -> None:
        while True:
            key, future = self._wanted.get()
            try:
                made = self._make(key)
            except BaseException as error:  # noqa: BLE001 - whoever asks for it gets it
                future.set_exception(error)
            else:
                future.set_result(made)

"""What comes next is made in a thread while the model computes."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Ahead(Generic[Key, Value]):
    """`make`, always called in one and the same thread: what it uses need not be thread-safe."""

    def __init__(self, make: Callable[[Key], Value]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="data")
        self._begun: tuple[Key, Future[Value]] | None = None

    def begin(self, key: Key) -> None:
        """Work on it starts. If it fails, that is told to whoever asks for it."""
        self._begun = (key, self._thread.submit(self._make, key))

    def get(self, key: Key) -> Value:
        if self._begun is None or self._begun[0] != key:
            self.begin(key)
        assert self._begun is not None
        _, future = self._begun
        self._begun = None
        return future.result()

"""Grammars by what they were asked for with; each is made once and keeps what it has learned."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from _shared.grammars.machine import Machine

MOST_KEPT = 24


class Sourced(Protocol):
    """What a grammar is asked for with."""

    @property
    def source(self) -> str:
        """All that decides the grammar."""


Task = TypeVar("Task", bound=Sourced)


class GrammarCache(Generic[Task]):
    """The newest grammars by digest. Any thread may ask."""

    def __init__(self, make: Callable[[Task], Machine]) -> None:
        self._make = make
        self._machines: OrderedDict[str, Machine] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, task: Task) -> Machine | None:
        """The grammar if it has been made."""
        return self._kept(digest_of(task))

    def made(self, task: Task) -> Machine:
        """The grammar, made now if nobody has. Raises: GrammarError, and what `make` raises."""
        digest = digest_of(task)
        machine = self._kept(digest)
        if machine is None:
            machine = self._keep(digest, self._make(task))
        return machine

    def _kept(self, digest: str) -> Machine | None:
        with self._lock:
            machine = self._machines.get(digest)
            if machine is not None:
                self._machines.move_to_end(digest)
            return machine

    def _keep(self, digest: str, machine: Machine) -> Machine:
        """The one that was there first, if two were made at once."""
        with self._lock:
            machine = self._machines.setdefault(digest, machine)
            self._machines.move_to_end(digest)
            while len(self._machines) > MOST_KEPT:
                self._machines.popitem(last=False)
        return machine


def digest_of(task: Sourced) -> str:
    return hashlib.sha256(task.source.encode(errors="surrogatepass")).hexdigest()

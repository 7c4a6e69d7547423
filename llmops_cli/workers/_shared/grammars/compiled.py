"""Grammars by what they were asked for with; each is made once and keeps what it has learned.

What cannot become one is not tried again either: a refusal may have cost seconds.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from _shared.grammars.machine import Machine
from _shared.grammars.nodes import GrammarError, MakerEnded

MOST_KEPT = 24
MOST_REFUSALS = 256
LONGEST_REFUSAL = 1000
"""Characters; some quote what was asked for."""


class Sourced(Protocol):
    """What a grammar is asked for with."""

    @property
    def source(self) -> str:
        """All that decides the grammar."""


Task = TypeVar("Task", bound=Sourced)


class GrammarCache(Generic[Task]):
    """The newest grammars and refusals by digest. Any thread may ask."""

    def __init__(self, make: Callable[[Task], Machine]) -> None:
        self._make = make
        self._machines: OrderedDict[str, Machine] = OrderedDict()
        self._refusals: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, task: Task) -> Machine | None:
        """The grammar if it has been made. Raises: GrammarError if it was refused."""
        return self._kept(digest_of(task))

    def made(self, task: Task) -> Machine:
        """The grammar, made now if nobody has. Raises: GrammarError, and what `make` raises."""
        digest = digest_of(task)
        machine = self._kept(digest)
        if machine is not None:
            return machine
        try:
            machine = self._make(task)
        except MakerEnded:  # it may come to be: somebody else may have ended it
            raise
        except GrammarError as error:
            self._keep_refusal(digest, str(error))
            raise
        return self._keep(digest, machine)

    def _kept(self, digest: str) -> Machine | None:
        with self._lock:
            refusal = self._refusals.get(digest)
            if refusal is not None:
                self._refusals.move_to_end(digest)
                raise GrammarError(refusal)
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

    def _keep_refusal(self, digest: str, reason: str) -> None:
        with self._lock:
            self._refusals[digest] = reason[:LONGEST_REFUSAL]
            while len(self._refusals) > MOST_REFUSALS:
                self._refusals.popitem(last=False)


def digest_of(task: Sourced) -> str:
    return hashlib.sha256(task.source.encode(errors="surrogatepass")).hexdigest()

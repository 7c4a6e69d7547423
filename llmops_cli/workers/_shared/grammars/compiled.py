"""Grammars by what they were asked for with; each is made once and keeps what it has learned."""

import gc
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from _shared.grammars.gbnf import parse_gbnf
from _shared.grammars.machine import Machine
from _shared.grammars.merging import AnySchema
from _shared.grammars.nodes import Rules
from _shared.grammars.program import assemble
from _shared.grammars.schemas import rules_of

MOST_KEPT = 24


class GrammarCache:
    """The newest grammars by digest. Any thread may ask."""

    def __init__(self) -> None:
        self._machines: OrderedDict[str, Machine] = OrderedDict()
        self._lock = threading.Lock()
        # One at a time: each that is made takes a share of the interpreter from whoever answers.
        self._making = threading.Lock()

    def of_gbnf(self, text: str) -> Machine:
        """Raises: GrammarError."""
        return self.kept(f"gbnf {text}", lambda: parse_gbnf(text))

    def of_schema(self, schema: AnySchema) -> Machine:
        """Raises: GrammarError."""
        return self.kept(f"schema {json.dumps(schema)}", lambda: rules_of(schema))

    def kept(self, source: str, rules: Callable[[], Rules]) -> Machine:
        """The grammar that was made from this source. Raises: GrammarError."""
        digest = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()
        with self._lock:
            machine = self._machines.get(digest)
        if machine is None:
            with self._making, collector_resting():
                machine = Machine(assemble(rules()))
        with self._lock:
            machine = self._machines.setdefault(digest, machine)
            self._machines.move_to_end(digest)
            while len(self._machines) > MOST_KEPT:
                self._machines.popitem(last=False)
        return machine


@contextmanager
def collector_resting() -> Iterator[None]:
    """A grammar is tens of thousands of objects without a cycle.

    To look for one among them, again and again as they become more, would stop every thread.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

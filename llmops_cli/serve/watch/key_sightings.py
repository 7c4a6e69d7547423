"""Whose a key is that stood in a prompt or an answer, counted and named without the key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.judging.key_search import OURS, FoundKey
from llmops_cli.serve.watch.metrics import Metrics

GATEWAY = "gateway"
UPSTREAM = "upstream"

Digests = Callable[[], Iterable[set[bytes]]]
"""Of what upstreams are sent now."""


class KeyOwner(NamedTuple):
    """`key_id`: of a key of this gateway."""

    kind: str
    key_id: str = ""


class KeySightings:
    """Keys that we know are told by their digests; of others the form is all that is known."""

    def __init__(
        self,
        store: KeyStore,
        metrics: Metrics,
        digests: Digests,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._digests = digests

    def note(self, found: Iterable[FoundKey]) -> list[str]:
        """For the audit log, each once: `input openai`, `output gateway ID`."""
        told = dict[str, None]()
        for each in found:
            owner = self._owner_of(each)
            if owner is not None:
                self._metrics.saw_key(owner.kind, each.direction)
                told[f"{each.direction} {owner.kind} {owner.key_id}".rstrip()] = None
        return list(told)

    def _owner_of(self, found: FoundKey) -> KeyOwner | None:
        """None: a key of ours that opens nothing any more."""
        if any(found.digest in digests for digests in self._digests()):
            return KeyOwner(UPSTREAM)
        if found.form != OURS:
            return KeyOwner(found.form)
        key = self._store.with_digest(found.digest)
        if key is None:
            return KeyOwner(OURS)  # of another gateway, for all we know
        return KeyOwner(GATEWAY, key.id) if key.is_live() else None

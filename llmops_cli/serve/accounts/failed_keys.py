"""Requests without a good key, limited by address."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.serve.accounts.bucket_file import BucketFile
from llmops_cli.serve.accounts.charge import Charge
from llmops_cli.serve.accounts.limits import network_of
from llmops_cli.serve.refusal import Refusal, retry_after

FILE = "failed-keys"


class FailedKeys:
    """Whoever has a good key is never asked here, so nobody is locked out by a neighbour.

    Counted for all processes of the state folder, in a file of its own: in the one of the limits,
    many addresses could drive out the buckets of keys.
    """

    def __init__(self, folder: Path) -> None:
        self._buckets = BucketFile(folder, name=FILE)

    def count(self, ip: str, most: int) -> None:
        """One more; `most` a minute are told that they have none. Raises: Refusal (429)."""
        charge = Charge(network_of(ip), "requests", most, 1.0)
        decision = self._buckets.take([charge])
        if decision.refused is not None:
            raise Refusal(
                429,
                "too many requests without a good key from your address",
                code="too_many_bad_keys",
                headers=retry_after(decision.buckets[0].wait_s),
            )

"""What a model is to the toolkit: a place, a format and a digest."""

from __future__ import annotations

from pathlib import PurePath

import msgspec

FORMATS = (
    "hf",
    "gguf",
    "awq",
    "gptq",
    "compressed-tensors",
    "auto-round",
    "bitsandbytes",
    "torchao",
    "hqq",
    "ct2",
    "remote",
)
PATH_BEGINS = ("/", ".", "~")
"""No name of a hub begins so."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model on disk, or served elsewhere.

    `digest` is over names, sizes and content (see runtime.digests.digest_path); None for a remote
    model. `parts` are the adapters and the draft model that go with it: what the user called each
    -> where it is, in the engine's format. `makes_vectors`: it is known to write no text.
    """

    reference: str
    format: str
    path: str | None = None
    revision: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    parts: dict[str, str] = {}
    makes_vectors: bool = False

    @property
    def name(self) -> str:
        """What is made from it is called after this: the end of its reference or path."""
        end = PurePath(self.reference).name
        if end.strip("."):
            return end
        return PurePath(self.path or "model").name

    @property
    def served_name(self) -> str:
        """What clients call it: its own name where the reference is a path, not where it lies."""
        if self.reference.startswith(PATH_BEGINS):
            return self.name
        return self.reference


def name_of_path(reference: str) -> str | None:
    """What an engine of ours calls the model at a path; None for what is no path by its looks."""
    if not reference.startswith(PATH_BEGINS):
        return None
    return PurePath(reference).name

"""Models that have a name: made or fetched here on first use, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import unknown_name
from llmops_cli.core.names import load_object
from llmops_cli.core.progress import Progress
from llmops_cli.models.catalog import CATALOG
from llmops_cli.models.copies import MadeCopy, copies_of
from llmops_cli.models.fetch import FetchedModel

BUILT_IN = {"demo": "llmops_cli.train.demo:DEMO_MODEL"}
"""Names of models that the toolkit makes itself -> "module:object"."""


class NamedModel(Protocol):
    """`cost`: of having it, in words."""

    name: str
    summary: str
    origin: str
    licence: str
    format: str
    cost: str

    def place(self) -> Path:
        """Where it is kept, or will be."""

    def kept(self, *, progress: Progress) -> Artifact | None:
        """If it is here and is what it should be."""

    def make(self, *, progress: Progress) -> Artifact:
        """Kept, or made now."""

    def remove(self) -> int:
        """Deletes it; the bytes that were freed."""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `llmops models list`. `path` and `digest` are None where it is not here yet.

    `copies`: what the cache holds that was made from it.
    """

    name: str
    summary: str
    format: str
    origin: str
    licence: str
    cost: str
    path: str | None = None
    digest: str | None = None
    size_bytes: int | None = None
    copies: list[MadeCopy] = []


def is_named(reference: str) -> bool:
    return reference in BUILT_IN or reference in CATALOG


def model_names() -> list[str]:
    return [*BUILT_IN, *CATALOG]


def named_model(name: str) -> NamedModel:
    """Raises: UsageError for a name that no model has."""
    if name in CATALOG:
        return FetchedModel(CATALOG[name])
    if name in BUILT_IN:
        return cast(NamedModel, load_object(BUILT_IN[name]))
    raise unknown_name("model", name, model_names())


def status_of(name: str, *, progress: Progress) -> ModelStatus:
    """Raises: UsageError for a name that no model has."""
    model = named_model(name)
    kept = model.kept(progress=progress)
    status = ModelStatus(
        name=model.name,
        summary=model.summary,
        format=model.format,
        origin=model.origin,
        licence=model.licence,
        cost=model.cost,
    )
    if kept is None:
        return status
    return msgspec.structs.replace(
        status,
        path=kept.path,
        digest=kept.digest,
        size_bytes=kept.size_bytes,
        copies=copies_of(kept.digest),
    )

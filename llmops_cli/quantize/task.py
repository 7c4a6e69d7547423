"""What every maker of artifacts is given, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Progress
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.sizing.quantization import RoomNeeded

ScoredTokens = tuple[list[int], int]
"""Token ids of one text, and the first position whose prediction is scored."""


class QuantizeTask(msgspec.Struct, frozen=True, kw_only=True):
    """One source model, to be quantized into one folder."""

    recipe: QuantizeRecipe
    source: Artifact
    folder: Path
    progress: Progress

    @property
    def source_path(self) -> Path:
        assert self.source.path is not None
        return Path(self.source.path)

    @property
    def threads(self) -> int:
        return self.recipe.threads or usable_cores()


class Maker(Protocol):
    """Makes artifacts of one kind, and measures what each has lost."""

    @property
    def text_digest(self) -> str:
        """Of the held-out text."""

    def path(self, variant: Variant) -> Path:
        """Where the artifact is, or will be."""

    def base_bytes(self) -> int:
        """Size of the weights that its artifacts are compared with."""

    def was_made(self, variant: Variant) -> bool:
        """Whether this run made it; otherwise it was kept."""

    def load(self, variant: Variant) -> Provenance | None:
        """The provenance of an artifact that is whole and would be made the same way now."""

    def save(self, variant: Variant, provenance: Provenance) -> None:
        """Keeps what was found out about it."""

    def forecast(self, variants: Sequence[Variant]) -> RoomNeeded:
        """What those that are not made yet will need."""

    def make(self, variant: Variant) -> None:
        """Makes it, unless it is there."""

    def check(self, variant: Variant) -> None:
        """Compares it with the original, unless something else has."""

    def measure(self, variants: Sequence[Variant]) -> None:
        """Fills in the quality of those that lack it for this text."""

    def scored_tokens(self) -> list[ScoredTokens]:
        """What quality was measured over, where a server can be asked for the same."""

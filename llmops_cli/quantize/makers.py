"""All makers of one run behind one face: which makes what, and what is known of each artifact."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, UsageError
from llmops_cli.quantize.folders import FolderMaker
from llmops_cli.quantize.gguf_files import ENVIRONMENT, GgufMaker
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.report import ArtifactProblem, ProblemKind, QuantizedArtifact
from llmops_cli.quantize.task import Maker, QuantizeTask, ScoredTokens
from llmops_cli.quantize.texts import few_tokens_note
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.env import find_env
from llmops_cli.sizing.quantization import RoomNeeded

GGUF = "gguf"
FIGURES = (
    "perplexity",
    "perplexity_base",
    "perplexity_rounding",
    "kl_rounding",
    "kl_divergence",
    "top1_agreement",
)
"""What quality tells of an artifact, by the same names."""


class Makers:
    """Makers are made when the first variant needs them, since each reads the model."""

    def __init__(self, task: QuantizeTask) -> None:
        self.task = task
        self._gguf: GgufMaker | None = None
        self._folders: FolderMaker | None = None

    def of(self, variant: Variant) -> Maker:
        """The one that makes this variant. Raises: UsageError if it cannot read the model."""
        if variant.method == GGUF:
            self._gguf = self._gguf or GgufMaker(self.task)
            return self._gguf
        self._folders = self._folders or FolderMaker(self.task)
        return self._folders

    @property
    def python(self) -> str | None:
        """The interpreter whose versions a report tells."""
        return find_env(ENVIRONMENT).python if self._gguf else None

    @property
    def text_digest(self) -> str:
        """Of the held-out text."""
        maker = self._gguf or self._folders or FolderMaker(self.task)
        return maker.text_digest

    def base_file(self, variants: Sequence[Variant]) -> Artifact | None:
        """The GGUF file that all of these are made from, if it was compared with the original.

        None if one of them is no GGUF file.
        """
        if self._gguf is None or any(variant.method != GGUF for variant in variants):
            return None
        return self._gguf.base_file()

    def scored_tokens(self) -> list[ScoredTokens]:
        """What quality was measured over, where a server can be asked for the same."""
        return self._folders.scored_tokens() if self._folders else []

    def forecast(self, variants: Sequence[Variant]) -> RoomNeeded:
        """Disk for all of them; memory for one at a time."""
        disk_bytes = 0.0
        memory_bytes = 0.0
        for group in _by_maker(variants):
            found = self.of(group[0]).forecast(group)
            disk_bytes += found.disk_bytes
            memory_bytes = max(memory_bytes, found.memory_bytes)
        return RoomNeeded(disk_bytes=disk_bytes, memory_bytes=memory_bytes)

    def measure(self, variants: Sequence[Variant]) -> None:
        """Fills in quality; a side that cannot be measured costs nothing but its own figures."""
        for group in _by_maker(variants):
            try:
                self.of(group[0]).measure(group)
            except (EngineFailed, UsageError) as error:
                if len(variants) == 1:
                    raise
                hint = f" ({error.hint})" if error.hint else ""
                self.task.progress.warn(f"quality was not measured: {error.message}{hint}")
        for variant in variants:
            self._judge(variant)

    def check(self, variants: Sequence[Variant]) -> None:
        """Compares with the original what measuring has not."""
        for variant in variants:
            self.of(variant).check(variant)

    def load(self, variant: Variant) -> Provenance:
        """What is known of an artifact that was made."""
        found = self.of(variant).load(variant)
        if found is None:
            raise EngineFailed(
                f"{self.of(variant).path(variant)} was changed while it was worked on",
                hint="run it again, alone",
            )
        return found

    def warn_of_text(self, variant: Variant) -> None:
        """A word on a calibration text that is too small."""
        note = few_tokens_note(self.load(variant).calibration)
        if note is not None:
            self.task.progress.warn(f"{variant.name}: {note}")

    def save(self, variant: Variant, provenance: Provenance) -> None:
        """Keeps what was found out about it."""
        self.of(variant).save(variant, provenance)

    def describe(self, variant: Variant) -> QuantizedArtifact:
        """As the report tells it."""
        maker = self.of(variant)
        provenance = self.load(variant)
        quality: dict[str, float] = {}
        eval_tokens = None
        vocabulary = None
        if self.task.recipe.quality:
            quality = provenance.quality
        if quality:
            eval_tokens = int(quality["eval_tokens"])
            vocabulary = int(quality.get("vocabulary", 0)) or None
        figures = {name: quality.get(name) for name in FIGURES}
        group_size = None
        if variant.group_size > 0:
            group_size = variant.group_size
        return QuantizedArtifact(
            path=str(maker.path(variant)),
            method=variant.method,
            engine=variant.quantizer,
            scheme=variant.scheme,
            format=variant.spec.format,
            name=variant.name,
            size_bytes=provenance.size_bytes,
            size_base_bytes=maker.base_bytes(),
            bits_per_weight=provenance.bits_per_weight or 0.0,
            group_size=group_size,
            eval_tokens=eval_tokens,
            vocabulary=vocabulary,
            cpu_s=provenance.cpu_s,
            wall_s=provenance.wall_s,
            peak_rss_bytes=provenance.peak_rss_bytes,
            digest=provenance.digest,
            calibration=provenance.calibration,
            imatrix=provenance.imatrix,
            requantized_from=provenance.requantized_from,
            fallback_tensors=provenance.fallback_tensors,
            mixture=provenance.mixture,
            notices=provenance.notices,
            quantized_share=provenance.quantized_share,
            notes=provenance.notes,
            served=provenance.served,
            loads_in=_loaded_by(provenance),
            quality_base=provenance.quality_base if quality else "",
            check=provenance.check,
            problems=provenance.all_problems,
            reused=not maker.was_made(variant),
            **figures,
        )

    def _judge(self, variant: Variant) -> None:
        """Marks an artifact whose perplexity grew by more than the limit."""
        found = self.load(variant)
        quality = found.quality
        if not quality:
            return
        problems = found.problems_but(ProblemKind.PERPLEXITY_GREW)
        limit = self.task.recipe.max_perplexity_increase
        growth = quality["perplexity"] / quality["perplexity_base"] - 1
        if limit is not None and growth > limit:
            text = f"perplexity grew by {growth:.2%}, more than {limit:.2%}"
            problem = ArtifactProblem(kind=ProblemKind.PERPLEXITY_GREW, text=text)
            problems.append(problem)
        if problems != found.problems:
            judged = msgspec.structs.replace(found, problems=problems)
            self.save(variant, judged)


def _loaded_by(provenance: Provenance) -> list[str]:
    """The engine that did load it, whose label is its name and its version."""
    if provenance.served is None:
        return []
    name, _, _ = provenance.served.engine.partition(" ")
    return [name]


def _by_maker(variants: Sequence[Variant]) -> list[list[Variant]]:
    """GGUF files, then folders; no empty group."""
    files = [variant for variant in variants if variant.method == GGUF]
    folders = [variant for variant in variants if variant.method != GGUF]
    return [group for group in (files, folders) if group]

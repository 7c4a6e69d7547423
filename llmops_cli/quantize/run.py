"""`llmops quantize`: makes each artifact once, measures what it cost, serves it once; resumes after
an interruption.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import (
    EngineFailed,
    EnvironmentMissing,
    LlmopsError,
    UsageError,
)
from llmops_cli.core.progress import Progress
from llmops_cli.engines import engines_for
from llmops_cli.evaluate.evaluator import Evaluator
from llmops_cli.models.prepare import quantized_dir
from llmops_cli.quantize.files import GgufMaker
from llmops_cli.quantize.folders import FolderMaker
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport
from llmops_cli.quantize.serving import serve_once
from llmops_cli.quantize.variants import Variant, variants_of
from llmops_cli.runtime.files import locked, require_space, size_of, write_atomic
from llmops_cli.runtime.manifest import RunClock


def quantize(
    recipe: QuantizeRecipe,
    origins: dict[str, str],
    source: Artifact,
    *,
    folder: Path,
    progress: Progress,
    evaluators: Sequence[Evaluator] = (),
) -> QuantizeReport:
    """Every artifact of the recipe in `folder`, with size, quality, a served word and what the
    evaluators found.

    Raises: UsageError for a model, scheme or text that cannot be used; EnvironmentMissing for a
    missing library, too little disk space or memory; EngineFailed if a job fails and nothing else
    was made. Finished artifacts stay and are not made again.
    """
    if recipe.max_perplexity_increase is not None and not recipe.quality:
        raise UsageError("--max-perplexity-increase needs the quality that --no-quality leaves out")
    variants = variants_of(recipe)
    if source.path and folder.resolve().is_relative_to(source.path):
        raise UsageError(f"{folder} is inside the model that is read", hint="choose another -o")
    clock = RunClock()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "quantize"):
        work = _Work(recipe, source, folder, progress, evaluators)
        work.check_space(variants)
        made, failures = work.make(variants)
        if recipe.quality:
            work.measure(made)
        if recipe.verify:
            work.serve(made)
        accuracy_base = work.base_accuracy() if recipe.verify else {}
        artifacts = [work.describe(variant) for variant in made]
    return QuantizeReport(
        manifest=clock.manifest(
            recipe,
            origins,
            python=work.python,
            digests={"model": source.digest or "", "text": work.text_digest},
        ),
        artifacts=artifacts,
        failures=failures,
        accuracy_base=accuracy_base,
    )


def broken_limits(report: QuantizeReport, recipe: QuantizeRecipe) -> list[str]:
    """Artifacts that lost more than the recipe allows, or of which nobody can tell."""
    if recipe.max_perplexity_increase is None:
        return []
    return [
        f"{artifact.name}: {problem}"
        for artifact in report.artifacts
        for problem in artifact.problems
        if problem.startswith("perplexity") or artifact.perplexity is None
    ]


def as_gguf(artifact: Artifact, progress: Progress) -> Artifact:
    """The model as an F16 GGUF file, converted once and kept in the cache."""
    recipe = QuantizeRecipe(
        model=artifact.reference, scheme=["F16"], imatrix="none", quality=False, verify=False
    )
    folder = quantized_dir(artifact)
    report = quantize(recipe, {}, artifact, folder=folder, progress=progress)
    made = report.artifacts[0]
    return Artifact(
        reference=artifact.reference,
        format="gguf",
        path=made.path,
        digest=made.digest,
        size_bytes=made.size_bytes,
    )


class _Work:
    """One source model, whatever its artifacts are made by."""

    def __init__(
        self,
        recipe: QuantizeRecipe,
        source: Artifact,
        folder: Path,
        progress: Progress,
        evaluators: Sequence[Evaluator],
    ) -> None:
        self.recipe = recipe
        self.source = source
        self.folder = folder
        self.evaluators = evaluators
        self.progress = progress
        self._gguf: GgufMaker | None = None
        self._folders: FolderMaker | None = None

    @property
    def gguf(self) -> GgufMaker:
        self._gguf = self._gguf or GgufMaker(self.recipe, self.source, self.folder, self.progress)
        return self._gguf

    @property
    def folders(self) -> FolderMaker:
        self._folders = self._folders or FolderMaker(
            self.recipe, self.source, self.folder, self.progress
        )
        return self._folders

    @property
    def python(self) -> str | None:
        return self._gguf.env.python if self._gguf else None

    @property
    def text_digest(self) -> str:
        return (self._gguf or self.folders).text_digest

    def check_space(self, variants: list[Variant]) -> None:
        """Raises: EnvironmentMissing if what is not made yet cannot fit, with what would."""
        types = [v.scheme for v in variants if v.method == "gguf"]
        others = [v for v in variants if v.method != "gguf"]
        forecasts = [self.gguf.forecast(types)] if types else []
        forecasts += [self.folders.forecast(others)] if others else []
        disk = sum(f[0] for f in forecasts)
        memory = max(f[1] for f in forecasts)
        if disk:
            require_space(
                self.folder,
                int(disk),
                what=f"{len(variants)} artifact(s) of {self.source.reference}",
            )
        available = psutil.virtual_memory().available
        if memory > available:
            raise EnvironmentMissing(
                f"quantizing {self.source.reference} needs about {memory / 1e9:.1f} GB of memory; "
                f"{available / 1e9:.1f} GB are free",
                hint="--method gguf --imatrix none reads a block of rows at a time; --no-quality, fewer --samples and "
                "a shorter --seq-len need less",
            )

    def make(self, variants: list[Variant]) -> tuple[list[Variant], dict[str, str]]:
        """What was made, and why the rest was not. One failure does not cost a sweep its other
        artifacts.

        Raises: the only variant's error, or EngineFailed if all failed.
        """
        made = []
        failures = {}
        for variant in variants:
            try:
                self.gguf.make(variant.scheme) if variant.method == "gguf" else self.folders.make(
                    variant
                )
            except (EngineFailed, EnvironmentMissing, UsageError) as error:
                if len(variants) == 1:
                    raise
                failures[variant.name] = error.message + (f" ({error.hint})" if error.hint else "")
                self.progress.warn(f"{variant.name} was not made: {error.message}")
            else:
                made.append(variant)
        if not made:
            raise EngineFailed(
                "nothing was made", hint="; ".join(f"{k}: {v}" for k, v in failures.items())[:500]
            )
        return made, failures

    def measure(self, variants: list[Variant]) -> None:
        """A side that cannot be measured costs neither the other's figures nor the report."""
        types = [v.scheme for v in variants if v.method == "gguf"]
        others = [v for v in variants if v.method != "gguf"]
        try:
            if types:
                self.gguf.measure(types)
            if others:
                self.folders.measure(others)
        except (EngineFailed, UsageError) as error:
            if len(variants) == 1:
                raise
            self.progress.warn(
                f"quality was not measured: {error.message}"
                + (f" ({error.hint})" if error.hint else "")
            )
        for variant in variants:
            self._judge(variant)

    def _judge(self, variant: Variant) -> None:
        """Marks an artifact whose perplexity grew by more than the limit."""
        found = self.load(variant)
        limit = self.recipe.max_perplexity_increase
        if not found.quality:
            return
        problems = [problem for problem in found.problems if not problem.startswith("perplexity")]
        grown = found.quality["perplexity"] / found.quality["perplexity_base"] - 1
        if limit is not None and grown > limit:
            problems.append(f"perplexity grew by {grown:.2%}, more than {limit:.2%}")
        if problems != found.problems:
            self.save(variant, msgspec.structs.replace(found, problems=problems))

    def serve(self, variants: list[Variant]) -> None:
        for done, variant in enumerate(variants):
            found = self.load(variant)
            wanted = [
                e
                for e in self.evaluators
                if found.served is None or e.name not in found.served.accuracy
            ]
            if found.served is not None and found.served.output_tokens_per_s and not wanted:
                continue
            self.progress.update(f"serving {variant.name}", done, len(variants))
            path = self.path(variant)
            artifact = Artifact(reference=path.name, format=variant.spec.format, path=str(path))
            problems = [
                problem for problem in found.problems if not problem.startswith("it does not serve")
            ]
            served = found.served
            try:
                pieces = self._folders.pieces if self._folders else []
                now = serve_once(
                    artifact,
                    folder=self.folder,
                    pieces=pieces,
                    evaluators=wanted,
                    progress=self.progress,
                )
                if now is not None:
                    before = served.accuracy if served else {}
                    served = msgspec.structs.replace(now, accuracy={**before, **now.accuracy})
            except LlmopsError as error:
                problems.append(f"it does not serve: {error.message}")
                self.progress.warn(f"{variant.name} {problems[-1]}")
            if served is None and problems == found.problems:
                self.progress.warn(
                    f"{variant.name} was not served: no engine here takes {variant.spec.format}"
                )
            self.save(variant, msgspec.structs.replace(found, served=served, problems=problems))

    def base_accuracy(self) -> dict[str, dict[str, float]]:
        """What the evaluators find for the source model itself, once for each of its digests."""
        if not self.evaluators:
            return {}
        path = self.folder / f".base-{(self.source.digest or '')[7:19]}.json"
        found = (
            msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, float]])
            if path.is_file()
            else {}
        )
        wanted = [evaluator for evaluator in self.evaluators if evaluator.name not in found]
        if wanted:
            self.progress.update("serving the base", 0, 1)
            try:
                served = serve_once(
                    self.source, folder=self.folder, evaluators=wanted, progress=self.progress
                )
            except LlmopsError as error:
                self.progress.warn(f"the base was not evaluated: {error.message}")
                return found
            found = {**found, **(served.accuracy if served else {})}
            write_atomic(path, msgspec.json.encode(found))
        return {
            evaluator.name: found[evaluator.name]
            for evaluator in self.evaluators
            if evaluator.name in found
        }

    # -- either maker
    # ----------------------------------------------------------------------------------

    def path(self, variant: Variant) -> Path:
        return (
            self.gguf.path(variant.scheme)
            if variant.method == "gguf"
            else self.folders.path(variant)
        )

    def load(self, variant: Variant) -> Provenance:
        found = (
            self.gguf.load(variant.scheme)
            if variant.method == "gguf"
            else self.folders.load(variant)
        )
        assert found is not None
        return found

    def save(self, variant: Variant, provenance: Provenance) -> None:
        if variant.method == "gguf":
            self.gguf.save(variant.scheme, provenance)
        else:
            self.folders.save(variant, provenance)

    def describe(self, variant: Variant) -> QuantizedArtifact:
        p = self.load(variant)
        is_gguf = variant.method == "gguf"
        quality = p.quality if self.recipe.quality else {}
        return QuantizedArtifact(
            path=str(self.path(variant)),
            method=variant.method,
            engine=variant.quantizer,
            scheme=variant.scheme,
            format=variant.spec.format,
            name=variant.name,
            size_bytes=p.size_bytes,
            size_base_bytes=size_of(self.gguf.base_path())
            if is_gguf
            else self.folders.base_bytes(),
            bits_per_weight=p.bits_per_weight,
            group_size=variant.group_size if variant.group_size > 0 else None,
            perplexity=quality.get("perplexity"),
            perplexity_base=quality.get("perplexity_base"),
            perplexity_rounding=quality.get("perplexity_rounding"),
            kl_rounding=quality.get("kl_rounding"),
            kl_divergence=quality.get("kl_divergence"),
            top1_agreement=quality.get("top1_agreement"),
            eval_tokens=int(quality["eval_tokens"]) if quality else None,
            cpu_s=p.cpu_s,
            wall_s=p.wall_s,
            peak_rss_bytes=p.peak_rss_bytes,
            digest=p.digest,
            calibration=p.calibration,
            imatrix=p.imatrix,
            fallback_tensors=p.fallback_tensors,
            served=p.served,
            loads_in=engines_for(variant.spec.format),
            problems=p.problems,
            reused=(variant.scheme if is_gguf else variant.name)
            not in (self.gguf.made if is_gguf else self.folders.made),
        )

"""`llmops run FILE`: train, quantize, bench and evaluate as one recipe; finished steps are kept.

A second run of the same recipe continues where the first one ended, even after kill -9: each step
keeps what it made or measured under a key of all that decided it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.run import bench
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, EnvironmentMissing
from llmops_cli.core.progress import Progress, Within
from llmops_cli.evaluate.demo import evaluate
from llmops_cli.models.convert import quantized_dir
from llmops_cli.models.find import find_model
from llmops_cli.models.prepare import unpacked
from llmops_cli.pipeline.kept import Kept, all_valid, files_read
from llmops_cli.pipeline.recipe import EngineEntry, PipelineRecipe, Steps, steps_of
from llmops_cli.pipeline.report import PipelineReport, Row
from llmops_cli.pipeline.show import pipeline_csv
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport
from llmops_cli.quantize.run import quantize
from llmops_cli.quantize.verdict import failure_of
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.measured import measurement_key
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target
from llmops_cli.train.run import train

EVALUATED_AT_ONCE = 8


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the bench and evaluate steps found for one artifact; kept in the cache."""

    bench: BenchReport | None = None
    skills: dict[str, float] = {}


def run_pipeline(
    recipe: PipelineRecipe,
    *,
    folder: RunFolder,
    progress: Progress,
) -> PipelineReport:
    """Runs the recipe's steps and writes report.json and report.csv.

    Raises: what its steps raise; finished steps stay finished.
    """
    steps = steps_of(recipe)
    return _Pipeline(recipe, steps, folder, progress).run()


class _Pipeline:
    """One run of a recipe."""

    def __init__(
        self,
        recipe: PipelineRecipe,
        steps: Steps,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._steps = steps
        self._folder = folder
        self._progress = progress
        self._done: list[dict[str, object]] = []
        self._versions: dict[str, str] = {}

    def run(self) -> PipelineReport:
        clock = RunClock()
        digests = {}
        if self._recipe.engines:
            rows = self._engine_rows(self._recipe.engines)
        else:
            source = self._source()
            rows = self._artifact_rows(source)
            digests["model"] = source.digest or ""
        manifest = clock.manifest(
            self._recipe,
            {},
            versions=self._versions or None,
            digests=digests,
        )
        report = PipelineReport(manifest=manifest, rows=rows, steps=self._done)
        self._folder.write_report(report)
        table = pipeline_csv(report)
        write_atomic(self._folder.path / "report.csv", table.encode())
        return report

    def _end(self, step: str, *, reused: bool) -> None:
        word = "kept" if reused else "done"
        self._done.append({"step": step, "reused": reused})
        self._progress.update(f"{step}: {word}", 1, 1)

    # -- models

    def _source(self) -> Artifact:
        if self._steps.train is None:
            return find_model(self._recipe.model, progress=self._progress)
        trained = train(self._steps.train, {}, progress=self._progress)
        self._end("train", reused=trained.reused)
        return Artifact(
            reference=self._recipe.model,
            format="hf",
            path=trained.path,
            digest=trained.digest,
        )

    def _as_scheme(self, scheme: str) -> Artifact:
        """The recipe's model as a GGUF file of that type."""
        source = find_model(self._recipe.model, progress=self._progress)
        recipe = QuantizeRecipe(
            model=self._recipe.model,
            scheme=[scheme],
            quality=False,
            verify=False,
        )
        report = self._quantize(recipe, source)
        return _as_artifact(source, report.artifacts[0])

    def _quantize(
        self,
        recipe: QuantizeRecipe,
        source: Artifact,
    ) -> QuantizeReport:
        """What could not be made is in it. Raises: EngineFailed for what is broken."""
        source = unpacked(source, progress=self._progress)
        report = quantize(
            recipe,
            {},
            source,
            folder=quantized_dir(source),
            progress=self._progress,
        )
        made = msgspec.structs.replace(report, failures={})
        failure = failure_of(made, max_increase=None)
        if failure is not None:
            raise failure
        return report

    # -- rows

    def _artifact_rows(self, source: Artifact) -> list[Row]:
        """One that could not be made leaves the others their turn."""
        report = self._quantize(self._steps.quantize, source)
        for made in report.artifacts:
            self._end(f"quantize {made.scheme}", reused=made.reused)
        names = row_names(report.artifacts)
        rows = [
            self._artifact_row(source, made, name)
            for made, name in zip(report.artifacts, names, strict=True)
        ]
        missing = [
            Row(name=name, size_bytes=0, failure=f"it was not made: {reason}")
            for name, reason in report.failures.items()
        ]
        return rows + missing

    def _artifact_row(
        self,
        source: Artifact,
        made: QuantizedArtifact,
        name: str,
    ) -> Row:
        artifact = _as_artifact(source, made)
        measured = self._measure(artifact, name)
        row = Row(
            name=name,
            size_bytes=made.size_bytes,
            bits_per_weight=made.bits_per_weight,
            perplexity=made.perplexity,
            kl_divergence=made.kl_divergence,
            task_accuracy=measured.skills.get("average"),
            skills=measured.skills,
        )
        return _with_load(row, measured.bench)

    def _measure(self, artifact: Artifact, name: str) -> Measured:
        """Bench and evaluation of one artifact, kept unless something that matters has changed."""
        recipe = self._steps.bench
        wish = EngineTarget(artifact=artifact)
        read = {}
        if recipe is not None:
            wish = EngineTarget(
                backend=recipe.backend,
                artifact=artifact,
                options=recipe.options,
            )
            read = files_read(recipe)
        target = self._prepared(wish)
        key = measurement_key(
            target,
            msgspec.to_builtins(recipe),
            msgspec.to_builtins(self._recipe.evaluate),
            read,
        )
        kept = Kept(key, self._progress)
        step = f"bench and evaluate {name}"
        found = kept.read(Measured)
        if found is not None:
            self._end(step, reused=True)
            return found
        report = None
        if recipe is not None:
            report = self._load(target, name, folder=f"bench-{name}")
        skills = self._skills(target, name)
        measured = Measured(bench=report, skills=skills)
        if all_valid(report):
            kept.write(measured)
        self._end(step, reused=False)
        return measured

    def _engine_rows(self, entries: list[EngineEntry]) -> list[Row]:
        """One that fails leaves the others their turn. Raises: the first error if all fail."""
        rows = []
        errors: list[EngineFailed | EnvironmentMissing] = []
        for entry in entries:
            try:
                rows.append(self._engine_row(entry))
            except (EngineFailed, EnvironmentMissing) as error:
                errors.append(error)
                rows.append(Row(name=entry.name, size_bytes=0, failure=error.message))
                self._progress.update(f"bench {entry.name}: failed, {error.message}", 1, 1)
        if len(errors) == len(entries):
            raise errors[0]
        return rows

    def _engine_row(self, entry: EngineEntry) -> Row:
        """One engine's load test; a server that runs elsewhere is measured every time."""
        recipe = self._steps.bench
        assert recipe is not None
        wish = self._engine_target(entry, recipe)
        target = self._prepared(wish)
        key = measurement_key(
            target,
            msgspec.to_builtins(recipe),
            files_read(recipe),
            "engine",
        )
        kept = Kept(key, self._progress)
        report = kept.read(BenchReport)
        reused = report is not None
        if report is None:
            slug = entry.name.replace(" ", "-")
            report = self._load(target, entry.name, folder=f"bench-{slug}")
            if all_valid(report):
                kept.write(report)
        self._end(f"bench {entry.name}", reused=reused)
        size_bytes = target.artifact.size_bytes or 0
        row = Row(name=entry.name, size_bytes=size_bytes)
        return _with_load(row, report)

    def _engine_target(self, entry: EngineEntry, recipe: BenchRecipe) -> EngineTarget:
        """The recipe's model in that engine, or the server that the entry names."""
        options = recipe.options | entry.engine_options()
        url = options.pop("url", None)
        model = None
        if entry.backend != "remote":
            model = self._recipe.model
        artifact = None
        if entry.scheme:
            artifact = self._as_scheme(entry.scheme)
        return EngineTarget(
            backend=entry.backend,
            model=model,
            url=url,
            options=options,
            artifact=artifact,
        )

    # -- measuring

    def _prepared(self, target: EngineTarget) -> PreparedTarget:
        prepared = prepare_target(target, progress=self._progress)
        self._versions |= prepared.versions()
        return prepared

    def _load(
        self,
        target: PreparedTarget,
        name: str,
        *,
        folder: str,
    ) -> BenchReport:
        """Judged at the end of the whole run, so that an unlucky minute does not cost the rest."""
        assert self._steps.bench is not None
        recipe = msgspec.structs.replace(
            self._steps.bench,
            backend=target.target.backend,
            url=target.target.url,
            options=dict(target.target.options),
            allow_invalid=True,
        )
        return bench(
            recipe,
            {},
            folder=self._folder.path / folder,
            progress=Within(self._progress, name),
            target=target,
        )

    def _skills(self, target: PreparedTarget, name: str) -> dict[str, float]:
        wanted = self._recipe.evaluate
        if wanted is None:
            return {}
        with started(
            target,
            folder=self._folder.path,
            parallel=EVALUATED_AT_ONCE,
            progress=self._progress,
            log_name=f"evaluate-{name}.log",
        ) as server:
            return evaluate(
                server.url,
                server.model,
                per_skill=wanted.per_skill,
                progress=Within(self._progress, name),
            )


def row_names(artifacts: Sequence[QuantizedArtifact]) -> list[str]:
    """By scheme; where two methods make the same one, by method too."""
    schemes = [made.scheme for made in artifacts]
    return [
        made.name if schemes.count(made.scheme) > 1 and made.name else made.scheme
        for made in artifacts
    ]


def _as_artifact(source: Artifact, made: QuantizedArtifact) -> Artifact:
    return Artifact(
        reference=source.reference,
        format=made.format,
        path=made.path,
        digest=made.digest,
        size_bytes=made.size_bytes,
    )


def _with_load(row: Row, report: BenchReport | None) -> Row:
    """The row with what a load test found."""
    if report is None:
        return row
    return msgspec.structs.replace(
        row,
        levels=report.levels,
        engine_peak_rss_bytes=report.memory.engine_peak_rss_bytes,
        engine_peak_gpu_bytes=report.memory.engine_peak_gpu_bytes,
    )

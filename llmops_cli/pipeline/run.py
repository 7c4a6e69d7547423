"""`llmops run FILE`: train, quantize, bench and evaluate as one recipe, each finished step kept and
skipped.

A recipe is YAML with the keys of PipelineRecipe. State lies in the cache under the recipe's digest,
so a second run of the same recipe continues where the first one ended, even after kill -9.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.run import bench
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.progress import Progress, Within
from llmops_cli.core.resolve import resolve
from llmops_cli.engines import checked_options, load_engine
from llmops_cli.evaluate.demo import evaluate
from llmops_cli.models.find import find_model
from llmops_cli.models.prepare import for_engine, quantized_dir, with_parts
from llmops_cli.pipeline.report import PipelineReport, Row, problems_of
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import QuantizedArtifact
from llmops_cli.quantize.run import quantize
from llmops_cli.runtime.env import ensure_env, find_env
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.paths import WORKERS, cache_dir
from llmops_cli.runtime.server import free_port, running
from llmops_cli.runtime.store import digest_file, digest_value, to_json, write_atomic
from llmops_cli.train.recipe import TrainRecipe
from llmops_cli.train.run import train


class EvaluateRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The demo task by generation: `per_skill` prompts of each skill."""

    per_skill: int = 50


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One engine of a comparison; `scheme` quantizes to that GGUF type first."""

    name: str
    backend: str
    options: dict[str, str] = {}
    scheme: str | None = None


class PipelineRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps in this order; a step whose key is absent is left out. `model` is used where `train` is
    absent. With `engines` the bench step runs over each of them, and nothing is quantized but what
    an entry asks for.
    """

    model: str = "demo"
    train: dict[str, object] | None = None
    quantize: dict[str, object] = {}
    engines: list[EngineEntry] = []
    bench: dict[str, object] | None = None
    evaluate: EvaluateRecipe | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the bench and evaluate steps found for one artifact; kept in the cache."""

    bench: BenchReport | None = None
    skills: dict[str, float] = {}


def load_recipe(path: Path) -> PipelineRecipe:
    """Raises: UsageError naming the line or field."""
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UsageError(
            f"no recipe at {path}", hint="llmops run recipes/quickstart.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(raw, dict):
        raise UsageError(
            f"{path} holds no recipe", hint="keys: model, train, quantize, engines, bench, evaluate"
        )
    known = [field.name for field in msgspec.structs.fields(PipelineRecipe)]
    for key in raw:
        if key not in known:
            raise unknown_name("recipe key", str(key), known)
    try:
        return msgspec.convert(raw, PipelineRecipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {str(error).replace('`', '')}") from error


class Pipeline:
    """One run of a recipe."""

    def __init__(
        self,
        recipe: PipelineRecipe,
        *,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._folder = folder
        self._progress = progress
        self._steps: list[dict[str, object]] = []
        # Everything is checked before the first minute of work is spent.
        self._train = (
            resolve(TrainRecipe, command="train", file=recipe.train).recipe
            if recipe.train is not None
            else None
        )
        self._quantize = resolve(
            QuantizeRecipe,
            command="quantize",
            file={"verify": False, **recipe.quantize, "model": recipe.model},
        ).recipe
        self._bench = (
            resolve(
                BenchRecipe, command="bench", file={**recipe.bench, "model": recipe.model}
            ).recipe
            if recipe.bench is not None
            else None
        )
        load_engine(self._bench.backend if self._bench else "llamacpp")
        if recipe.engines and self._bench is None:
            raise UsageError(
                "engines are compared by a load test", hint="bench: {concurrency: [1, 16]}"
            )
        for entry in recipe.engines:
            checked_options(entry.backend, load_engine(entry.backend), entry.options)

    @property
    def allows_invalid(self) -> bool:
        return self._bench is None or self._bench.allow_invalid

    def run(self) -> PipelineReport:
        """Raises what its steps raise; finished steps stay finished."""
        clock = RunClock()
        source = self._source()
        if self._recipe.engines:
            return self._finish(clock, [self._engine_row(entry) for entry in self._recipe.engines])
        report = quantize(
            self._quantize,
            {},
            source,
            folder=quantized_dir(source),
            progress=self._progress,
        )
        for made in report.artifacts:
            self._done(f"quantize {made.scheme}", reused=made.reused)
        rows = [self._row(source, made) for made in report.artifacts]
        python = find_env("llamacpp").python
        return self._finish(clock, rows, python=python, digests={"model": source.digest or ""})

    def _finish(
        self,
        clock: RunClock,
        rows: list[Row],
        *,
        python: str | None = None,
        digests: dict[str, str] | None = None,
    ) -> PipelineReport:
        manifest = clock.manifest(self._recipe, {}, python=python, digests=digests)
        whole = PipelineReport(manifest=manifest, rows=rows, steps=self._steps)
        write_atomic(self._folder / "report.json", to_json(whole))
        write_atomic(self._folder / "report.csv", _csv(whole).encode())
        if self.allows_invalid:
            for problem in problems_of(whole):
                self._progress.warn(f"INVALID: {problem.text}")
        return whole

    def _done(self, step: str, *, reused: bool) -> None:
        self._steps.append({"step": step, "reused": reused})
        self._progress.update(f"{step}: {'kept' if reused else 'done'}", 1, 1)

    def _source(self) -> Artifact:
        if self._train is None:
            return find_model(self._recipe.model, progress=self._progress)
        trained = train(self._train, {}, progress=self._progress)
        self._done("train", reused=trained.reused)
        return Artifact(
            reference=self._recipe.model,
            format="hf",
            path=trained.path,
            digest=trained.digest,
            size_bytes=None,
        )

    def _row(self, source: Artifact, made: QuantizedArtifact) -> Row:
        artifact = Artifact(
            reference=source.reference,
            format="gguf",
            path=made.path,
            digest=made.digest,
            size_bytes=made.size_bytes,
        )
        measured = self._measure(artifact, made.scheme)
        bench_report = measured.bench
        return Row(
            name=made.scheme,
            size_bytes=made.size_bytes,
            bits_per_weight=made.bits_per_weight,
            perplexity=made.perplexity,
            kl_divergence=made.kl_divergence,
            task_accuracy=measured.skills.get("average"),
            skills=measured.skills,
            levels=bench_report.levels if bench_report else [],
            engine_peak_rss_bytes=bench_report.memory.engine_peak_rss_bytes
            if bench_report
            else None,
            engine_peak_gpu_bytes=bench_report.memory.engine_peak_gpu_bytes
            if bench_report
            else None,
        )

    def _engine_row(self, entry: EngineEntry) -> Row:
        """One engine's load test, from the cache if it was measured before."""
        assert self._bench is not None
        engine = load_engine(entry.backend)
        if engine.environment:
            ensure_env(engine.environment, on_line=self._progress.say)
        options = {**self._bench.options, **entry.options}
        artifact = with_parts(
            engine,
            self._artifact_for(entry),
            checked_options(entry.backend, engine, options),
            progress=self._progress,
        )
        recipe = msgspec.structs.replace(
            self._bench, backend=entry.backend, options=options, allow_invalid=True
        )
        key = digest_value([artifact.digest, msgspec.to_builtins(recipe), "engines"])
        saved = cache_dir() / "measured" / f"{key[7:31]}.json"
        step = f"bench {entry.name}"
        if saved.exists():
            self._done(step, reused=True)
            report = msgspec.json.decode(saved.read_bytes(), type=BenchReport)
        else:
            slug = entry.name.replace(" ", "-")
            report = bench(
                recipe,
                {},
                artifact,
                folder=self._folder / f"bench-{slug}",
                progress=Within(self._progress, entry.name),
            )
            if all(level.valid for level in report.levels):
                write_atomic(saved, to_json(report))
            self._done(step, reused=False)
        return Row(
            name=entry.name,
            size_bytes=artifact.size_bytes or 0,
            levels=report.levels,
            engine_peak_rss_bytes=report.memory.engine_peak_rss_bytes,
            engine_peak_gpu_bytes=report.memory.engine_peak_gpu_bytes,
        )

    def _artifact_for(self, entry: EngineEntry) -> Artifact:
        if entry.scheme is None:
            return for_engine(
                load_engine(entry.backend),
                self._recipe.model,
                progress=self._progress,
            )
        source = find_model(self._recipe.model, progress=self._progress)
        recipe = QuantizeRecipe(
            model=self._recipe.model, scheme=[entry.scheme], quality=False, verify=False
        )
        made = quantize(
            recipe,
            {},
            source,
            folder=quantized_dir(source),
            progress=self._progress,
        ).artifacts[0]
        return Artifact(
            reference=source.reference,
            format="gguf",
            path=made.path,
            digest=made.digest,
            size_bytes=made.size_bytes,
        )

    def _measure(self, artifact: Artifact, scheme: str) -> Measured:
        """Bench and evaluation of one artifact, from the cache if nothing that matters has
        changed.
        """
        code = [digest_file(path) for path in sorted((WORKERS / "llamacpp/server").glob("*.py"))]
        key = digest_value(
            [artifact.digest, self._recipe.bench, msgspec.to_builtins(self._recipe.evaluate), code]
        )
        saved = cache_dir() / "measured" / f"{key[7:31]}.json"
        if saved.exists():
            self._done(f"bench and evaluate {scheme}", reused=True)
            return msgspec.json.decode(saved.read_bytes(), type=Measured)
        report = self._run_bench(artifact, scheme) if self._bench else None
        skills = self._run_evaluation(artifact, scheme) if self._recipe.evaluate else {}
        measured = Measured(bench=report, skills=skills)
        if report is None or all(
            level.valid for level in report.levels
        ):  # else it is measured again next time
            write_atomic(saved, to_json(measured))
        self._done(f"bench and evaluate {scheme}", reused=False)
        return measured

    def _run_bench(self, artifact: Artifact, scheme: str) -> BenchReport:
        assert self._bench is not None
        # judged at the end of the whole run, so that an unlucky minute does not cost the other
        # steps
        recipe = msgspec.structs.replace(self._bench, allow_invalid=True)
        return bench(
            recipe,
            {},
            artifact,
            folder=self._folder / f"bench-{scheme}",
            progress=Within(self._progress, scheme),
        )

    def _run_evaluation(self, artifact: Artifact, scheme: str) -> dict[str, float]:
        assert self._recipe.evaluate is not None
        engine = load_engine(self._bench.backend if self._bench else "llamacpp")
        env = find_env(engine.environment) if engine.environment else None
        spec = engine.server(artifact, options={}, env=env, port=free_port(), parallel=8)
        with running(spec, log_path=self._folder / f"evaluate-{scheme}.log") as server:
            return evaluate(
                server.url,
                spec.model,
                per_skill=self._recipe.evaluate.per_skill,
                progress=Within(self._progress, scheme),
            )


CSV_COLUMNS = (
    "name",
    "size_bytes",
    "bits_per_weight",
    "perplexity",
    "kl_divergence",
    "task_accuracy",
    "concurrency",
    "ttft_ms_p50",
    "tpot_ms_p50",
    "output_tokens_per_s",
    "engine_peak_rss_bytes",
)


def _csv(report: PipelineReport) -> str:
    """One line per artifact and load level."""
    lines = [",".join(CSV_COLUMNS)]
    for row in report.rows:
        fixed = [
            row.name,
            row.size_bytes,
            row.bits_per_weight,
            row.perplexity,
            row.kl_divergence,
            row.task_accuracy,
        ]
        speeds = [
            [x.concurrency, x.ttft_ms.p50, x.tpot_ms.p50, x.output_tokens_per_s] for x in row.levels
        ]
        for speed in speeds or [[None] * 4]:
            cells = [*fixed, *speed, row.engine_peak_rss_bytes]
            lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(lines) + "\n"

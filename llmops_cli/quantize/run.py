"""`llmops quantize`: makes each artifact once, measures what it cost, serves it once.

What is finished is kept, so an interrupted run goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.counted import counted
from llmops_cli.core.errors import EngineFailed, EnvironmentMissing, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.evaluate.evaluator import Evaluator
from llmops_cli.quantize.check import ServedCheck
from llmops_cli.quantize.makers import Makers
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import QuantizeReport
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.quantize.variants import Variant, variants_of
from llmops_cli.runtime.files import locked, make_folder, require_space
from llmops_cli.runtime.manifest import RunClock

MOST_HINT_CHARS = 500


def quantize(
    recipe: QuantizeRecipe,
    origins: dict[str, str],
    source: Artifact,
    *,
    folder: Path,
    progress: Progress,
    evaluators: Sequence[Evaluator] = (),
) -> QuantizeReport:
    """Every artifact of the recipe in `folder`, with size, quality, and how it serves.

    What is wrong with one is in its `problems`, see `problems_of`.

    Raises: UsageError for a model, scheme or text that cannot be used; EnvironmentMissing for a
    missing library, too little disk space or memory; EngineFailed if a job fails and nothing else
    was made. Finished artifacts stay and are not made again.
    """
    variants = _checked(recipe, source, folder)
    task = QuantizeTask(recipe=recipe, source=source, folder=folder, progress=progress)
    clock = RunClock()
    make_folder(folder)
    with locked(folder / "quantize"):
        makers = Makers(task)
        _require_room(makers, variants)
        made, failures = _make(makers, variants)
        loading = [variant for variant in made if makers.load(variant).may_load]
        if recipe.quality and loading:
            makers.measure(loading)
        makers.check(made)
        accuracy_base = {}
        if recipe.verify:
            check = ServedCheck(task, makers, evaluators)
            check.serve(loading)
            accuracy_base = check.base_accuracy(made)
        artifacts = [makers.describe(variant) for variant in made]
    manifest = clock.manifest(
        recipe,
        origins,
        python=makers.python,
        digests={"model": source.digest or "", "text": makers.text_digest},
    )
    return QuantizeReport(
        manifest=manifest, artifacts=artifacts, failures=failures, accuracy_base=accuracy_base
    )


def _checked(
    recipe: QuantizeRecipe,
    source: Artifact,
    folder: Path,
) -> list[Variant]:
    """What is to be made. Raises: UsageError before anything is."""
    if recipe.max_perplexity_increase is not None and not recipe.quality:
        raise UsageError("--max-perplexity-increase needs the quality that --no-quality leaves out")
    variants = variants_of(recipe)
    if source.path and folder.resolve().is_relative_to(Path(source.path).resolve()):
        raise UsageError(f"{folder} is inside the model that is read", hint="choose another -o")
    return variants


def _require_room(makers: Makers, variants: Sequence[Variant]) -> None:
    """Raises: EnvironmentMissing if what is not made yet cannot fit, with what would."""
    task = makers.task
    forecast = makers.forecast(variants)
    if forecast.disk_bytes:
        require_space(
            task.folder,
            int(forecast.disk_bytes),
            what=f"{counted(len(variants), 'artifact')} of {task.source.reference}",
        )
    available = psutil.virtual_memory().available
    if forecast.memory_bytes > available:
        raise EnvironmentMissing(
            f"quantizing {task.source.reference} needs about {forecast.memory_bytes / 1e9:.1f} GB "
            f"of memory; {available / 1e9:.1f} GB are free",
            hint="--method gguf --imatrix none reads a block of rows at a time; --no-quality, "
            "fewer --samples and a shorter --seq-len need less",
        )


def _make(makers: Makers, variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """What was made, and why the rest was not: one failure does not cost a sweep the others.

    Raises: the only variant's error, or EngineFailed if all failed.
    """
    made = []
    failures = {}
    for variant in variants:
        try:
            makers.of(variant).make(variant)
            makers.warn_of_text(variant)
        except (EngineFailed, EnvironmentMissing, UsageError) as error:
            if len(variants) == 1:
                raise
            reason = error.message
            if error.hint:
                reason += f" ({error.hint})"
            failures[variant.name] = reason
            makers.task.progress.warn(f"{variant.name} was not made: {error.message}")
        else:
            made.append(variant)
    if not made:
        told = [f"{name}: {reason}" for name, reason in failures.items()]
        reasons = "; ".join(told)
        raise EngineFailed("nothing was made", hint=reasons[:MOST_HINT_CHARS])
    return made, failures

"""Serves what was made, once for each artifact, and the base for what evaluators find of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, LlmopsError
from llmops_cli.evaluate.evaluator import Evaluator, Scores
from llmops_cli.models.convert import short
from llmops_cli.quantize.makers import Makers
from llmops_cli.quantize.methods import METHODS
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.report import ArtifactProblem, ProblemKind, Served
from llmops_cli.quantize.serving import ServingPlan, serve_once, serving_plan
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.contents import read_state
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.hardware import probe_gpus


class ServedCheck:
    """One run's served checks. A speed that counts is kept while all that answered is the same."""

    def __init__(
        self,
        task: QuantizeTask,
        makers: Makers,
        evaluators: Sequence[Evaluator],
    ) -> None:
        self._source = task.source
        self._progress = task.progress
        self._folder = task.folder
        self._makers = makers
        self._evaluators = evaluators

    def serve(self, variants: Sequence[Variant]) -> None:
        """Fills in what each says, how fast, and what evaluators find, where that is not known."""
        for done, variant in enumerate(variants):
            provenance = self._makers.load(variant)
            artifact = self._artifact(variant, provenance)
            if not is_served_here(variant):
                self._tell_without_kernels(variant, provenance)
                continue
            plan = serving_plan(artifact, progress=self._progress)
            if plan is None:
                self._tell_unserved(variant, provenance)
                continue
            kept = kept_answer(provenance.served, plan)
            wanted = self._unknown_to(kept)
            is_whole = kept is not None and kept.has_valid_speed
            if is_whole and not wanted:
                continue
            self._progress.update(f"serving {variant.name}", done, len(variants))
            self._serve(variant, plan, kept, wanted)

    def base_accuracy(self, variants: Sequence[Variant]) -> dict[str, Scores]:
        """What the evaluators find for the model that these are made from, once for each server.

        GGUF files alone are held against theirs of 16 bits, by the engine that serves them, once
        that file was compared with the original.
        """
        if not self._evaluators:
            return {}
        source = self._makers.base_file(variants) or self._source
        plan = serving_plan(source, progress=self._progress)
        if plan is None:
            self._progress.warn(f"the base was not evaluated: no engine here takes {source.format}")
            return {}
        path = self._folder / f".base-{short(plan.key())}.json"
        found = read_state(path, dict[str, Scores], progress=self._progress) or {}
        wanted = [e for e in self._evaluators if e.name not in found]
        if wanted:
            self._progress.update("serving the base", 0, 1)
            try:
                served = serve_once(
                    plan,
                    folder=self._folder,
                    evaluators=wanted,
                    progress=self._progress,
                )
            except LlmopsError as error:
                self._progress.warn(f"the base was not evaluated: {error.message}")
            else:
                found = {**found, **served.accuracy}
                write_atomic(path, msgspec.json.encode(found))
        names = [e.name for e in self._evaluators]
        return {name: found[name] for name in names if name in found}

    def _artifact(self, variant: Variant, provenance: Provenance) -> Artifact:
        path = self._makers.of(variant).path(variant)
        return Artifact(
            reference=path.name,
            format=variant.spec.format,
            path=str(path),
            digest=provenance.digest,
        )

    def _unknown_to(self, served: Served | None) -> list[Evaluator]:
        if served is None:
            return list(self._evaluators)
        return [e for e in self._evaluators if e.name not in served.accuracy]

    def _tell_without_kernels(self, variant: Variant, provenance: Provenance) -> None:
        """An engine that failed at it before, where none was to be asked, marks it no longer."""
        problems = provenance.problems_but(ProblemKind.NOT_SERVED)
        if problems != provenance.problems:
            found = msgspec.structs.replace(provenance, problems=problems)
            self._makers.save(variant, found)
        self._progress.warn(
            f"{variant.name} was not served: engines have kernels for {variant.scheme} on a GPU "
            "only, and there is none"
        )

    def _tell_unserved(self, variant: Variant, provenance: Provenance) -> None:
        if provenance.served is None:
            self._progress.warn(
                f"{variant.name} was not served: no engine here takes {variant.spec.format}"
            )

    def _serve(
        self,
        variant: Variant,
        plan: ServingPlan,
        kept: Served | None,
        wanted: Sequence[Evaluator],
    ) -> None:
        provenance = self._makers.load(variant)
        problems = provenance.problems_but(ProblemKind.NOT_SERVED)
        served = provenance.served
        try:
            served = serve_once(
                plan,
                folder=self._folder,
                pieces=self._makers.scored_tokens(),
                evaluators=wanted,
                progress=self._progress,
            )
        except LlmopsError as error:
            text = (
                f"it does not serve: {error.message}{_log_of(error, self._folder / plan.log_name)}"
            )
            problems.append(ArtifactProblem(kind=ProblemKind.NOT_SERVED, text=text))
            self._progress.warn(f"{variant.name} {text}")
        else:
            if kept is not None:
                accuracy = {**kept.accuracy, **served.accuracy}
                served = msgspec.structs.replace(served, accuracy=accuracy)
        found = msgspec.structs.replace(provenance, served=served, problems=problems)
        self._makers.save(variant, found)


def _log_of(error: LlmopsError, log: Path) -> str:
    """Where the engine's own words are, if it is the engine that failed."""
    if isinstance(error, EngineFailed) and log.is_file():
        return f" (its log is {log})"
    return ""


def is_served_here(variant: Variant) -> bool:
    """Not where engines have kernels for it on a GPU only, and there is none."""
    return has_kernels(variant, on_gpu=bool(probe_gpus()))


def has_kernels(variant: Variant, *, on_gpu: bool) -> bool:
    """Whether an engine that takes the format computes in it there."""
    if on_gpu:
        return True
    if METHODS[variant.method].served_on_gpu:
        return False
    is_weight_only = variant.rounding is not None
    bits = variant.spec.cpu_kernel_bits
    return not is_weight_only or not bits or variant.bits in bits


def kept_answer(served: Served | None, plan: ServingPlan) -> Served | None:
    """What was found before, if the same would answer now."""
    if served is None or not served.key:
        return None
    if served.key != plan.key():
        return None
    return served

"""How much quantized folders have lost: perplexity and KL divergence beside the base's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.models.convert import short
from llmops_cli.quantize.folder_check import truth_of_figures
from llmops_cli.quantize.jobs import OFFLINE, run_measuring
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.quality import ORIGINAL, Rounding, folder_quality, unmeasured
from llmops_cli.quantize.report import ArtifactProblem, ProblemKind, Served
from llmops_cli.quantize.task import Maker, QuantizeTask, ScoredTokens
from llmops_cli.quantize.texts import EVAL_WINDOW
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.contents import read_state
from llmops_cli.runtime.digests import digest_file, digest_value
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.hardware import versions_in
from llmops_cli.runtime.job import Json
from llmops_cli.runtime.paths import cache_dir

PROGRAM = "hf.quality"
PLAIN_ROUNDING = "int4"
"""The method that is nothing else, and is not compared with itself."""

Measurable = tuple[Variant, Provenance]


class MakesFolders(Maker, Protocol):
    """A maker that leaves some layers as they are."""

    @property
    def ignored_layers(self) -> list[str]:
        """Their names."""


class FolderQuality:
    """Measures the folders that `maker` made, one job an environment."""

    def __init__(
        self,
        task: QuantizeTask,
        maker: MakesFolders,
        *,
        text: Path,
    ) -> None:
        self._task = task
        self._source = task.source
        self._source_path = task.source_path
        self._recipe = task.recipe
        self._progress = task.progress
        self._threads = task.threads
        self._maker = maker
        self._text = text
        self.text_digest = digest_file(text)

    def measure(self, variants: Sequence[Variant]) -> None:
        """Fills in what folders lack for this text."""
        environments = dict.fromkeys(variant.spec.judge for variant in variants)
        for environment in environments:
            env = ensure_env(environment, progress=self._progress)
            key = cache_key(
                self.text_digest,
                self._recipe.eval_tokens,
                EVAL_WINDOW,
                program=PROGRAM,
                env=env,
            )
            here = [v for v in variants if v.spec.judge == environment]
            todo = unmeasured(self._maker, here, key)
            if todo:
                self._measure_in(env, todo, key)

    def scored_tokens(self) -> list[ScoredTokens]:
        """What quality was measured over; empty if it was not yet."""
        path = self._tokens_path()
        found = read_state(path, list[ScoredTokens], progress=self._progress)
        return found or []

    def _measure_in(
        self,
        env: Env,
        todo: Sequence[Measurable],
        key: str,
    ) -> None:
        roundings = _roundings(variant for variant, _ in todo)
        job = self._job(env, todo, roundings)
        output = run_measuring(job, progress=self._progress)
        pieces = msgspec.json.encode(output["pieces"])
        write_atomic(self._tokens_path(), pieces)
        plain = dict(zip(roundings, output["roundings"], strict=True))
        versions = versions_in(env.python)
        for (variant, provenance), figures in zip(todo, output["models"], strict=True):
            if "error" in figures:
                self._save_failure(variant, provenance, str(figures["error"]))
                continue
            rounding = None
            if variant.rounding is not None and _is_compared(variant):
                rounding = plain[variant.rounding]
            quality = folder_quality(figures, base=output["base"], rounding=rounding)
            facts = {
                **figures,
                "known_nats": output["base"]["known_nats"],
                "scored": figures["tokens"],
                "cpu_s": 0.0,  # it came with the quality
                "peak_rss_bytes": output["peak_rss_bytes"],
                "transformers": versions.get("transformers", ""),
            }
            truth = truth_of_figures(self._task, variant, self._maker.path(variant), facts)
            checked = msgspec.structs.replace(provenance, check=truth)
            library = "ctranslate2" if variant.spec.format == "ct2" else "transformers"
            engine = f"{library} {versions.get(library, '')}".strip()
            served = Served(engine=engine, says=figures["says"])
            self._save(variant, checked, quality, key=key, served=served)

    def _job(
        self,
        env: Env,
        todo: Sequence[Measurable],
        roundings: Sequence[Rounding],
    ) -> JobSpec:
        models: list[Json] = []
        for variant, _ in todo:
            path = str(self._maker.path(variant))
            models.append({"path": path, "format": variant.spec.format})
        ignored = self._maker.ignored_layers
        return JobSpec(
            name="quality",
            python=env.python,
            program=PROGRAM,
            input={
                "base": str(self._source_path),
                "text": str(self._text),
                "tokens": self._recipe.eval_tokens,
                "window": EVAL_WINDOW,
                "threads": self._threads,
                "models": models,
                "roundings": [_rounding_fields(rounding, ignored) for rounding in roundings],
            },
            env=OFFLINE,
        )

    def _save(
        self,
        variant: Variant,
        provenance: Provenance,
        quality: dict[str, float],
        *,
        key: str,
        served: Served,
    ) -> None:
        found = msgspec.structs.replace(
            provenance,
            quality=quality,
            quality_key=key,
            quality_base=ORIGINAL,
            problems=[],
            served=provenance.served or served,
        )
        self._maker.save(variant, found)

    def _save_failure(
        self,
        variant: Variant,
        provenance: Provenance,
        error: str,
    ) -> None:
        problem = ArtifactProblem(kind=ProblemKind.NOT_LOADED, text=f"it does not load: {error}")
        found = msgspec.structs.replace(provenance, problems=[problem], quality={}, quality_key="")
        self._maker.save(variant, found)
        self._progress.warn(f"{variant.name}: {problem.text}")

    def _tokens_path(self) -> Path:
        key = digest_value(
            [self._source.digest, self.text_digest, self._recipe.eval_tokens, EVAL_WINDOW]
        )
        return cache_dir() / "heldout" / f"{short(key)}.json"


def _roundings(variants: Iterable[Variant]) -> list[Rounding]:
    """Each plain rounding that some variant is compared with, once."""
    found: dict[Rounding, None] = {}
    for variant in variants:
        if variant.rounding is not None and _is_compared(variant):
            found[variant.rounding] = None
    return list(found)


def _is_compared(variant: Variant) -> bool:
    """Whether its figures stand beside those of plain rounding."""
    return variant.method != PLAIN_ROUNDING


def _rounding_fields(rounding: Rounding, ignored: Sequence[str]) -> Json:
    bits, group_size, symmetric = rounding
    return {
        "bits": bits,
        "group_size": group_size,
        "symmetric": symmetric,
        "ignore": list(ignored),
    }

"""Quantized model folders, made by a library's job in a temporary place and renamed when whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from llmops_cli.core.errors import UsageError
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.models.config import text_config
from llmops_cli.models.provenance import kept_model, require_ours, write_provenance
from llmops_cli.models.quantized import AlreadyQuantized, quantization_of, refuse_adapter
from llmops_cli.models.tensors import parameters_of, weight_bytes
from llmops_cli.quantize.card import model_card
from llmops_cli.quantize.first_file import lossy_types_of
from llmops_cli.quantize.folder_check import truth_of_folder
from llmops_cli.quantize.folder_quality import FolderQuality
from llmops_cli.quantize.jobs import OFFLINE, run_making
from llmops_cli.quantize.methods import CALIBRATED_SCHEMES, METHODS
from llmops_cli.quantize.provenance import CARD, IN_FOLDER, WRITTEN_LATER, Provenance
from llmops_cli.quantize.task import QuantizeTask, ScoredTokens
from llmops_cli.quantize.texts import texts_of
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.files import locked, remove, size_of, write_atomic
from llmops_cli.runtime.hardware import probe_gpus, versions_in
from llmops_cli.runtime.job import JobResult
from llmops_cli.runtime.leftovers import remove_partials
from llmops_cli.sizing.quantization import (
    FolderMemory,
    RoomNeeded,
    folder_disk_bytes,
    folder_memory_bytes,
)

HESSIAN_METHODS = frozenset({"awq", "gptq", "smoothquant", "spinquant"})
DEQUANTIZING = frozenset({"llmcompressor", "auto-round"})
"""Quantizers that are given the model, and do not load it themselves."""
ROOMY = 4
"""Times the weights that a machine must have as memory to compute in float32."""


class FolderMaker:
    """The quantized folders of one Hugging Face model; llmops.json in each is its provenance."""

    def __init__(self, task: QuantizeTask) -> None:
        source = task.source
        if source.format != "hf":
            raise UsageError(
                "this method reads unquantized Hugging Face folders; "
                f"{source.reference} is {source.format}",
                hint="pass the original model",
            )
        self._task = task
        self._source = task.source
        self._source_path = task.source_path
        self._recipe = task.recipe
        self._progress = task.progress
        self._quantization = self._readable_quantization()
        self._folder = task.folder
        self._threads = task.threads
        text, self._calibration = texts_of(task.recipe, task.source_path)
        self._quality = FolderQuality(task, self, text=text)
        self._keys: dict[Variant, str] = {}
        self._made: set[str] = set()
        self.text_digest = self._quality.text_digest

    def _readable_quantization(self) -> AlreadyQuantized | None:
        """How the source is quantized, where it can be read as plain weights all the same."""
        refuse_adapter(self._source_path)
        found = quantization_of(self._source_path)
        if found is None:
            return None
        name = self._source.reference
        if not found.is_readable:
            raise UsageError(
                f"{name} is already quantized ({found.method}: {found.sign})",
                hint="pass the original model",
            )
        self._progress.warn(f"{name} is {found.method}: its weights are dequantized first")
        return found

    @property
    def ignored_layers(self) -> list[str]:
        """What stays as it is."""
        names = ["lm_head", *self._recipe.ignore]
        return list(dict.fromkeys(names))

    def path(self, variant: Variant) -> Path:
        return self._folder / f"{self._source.name}-{variant.name}"

    def base_bytes(self) -> int:
        return weight_bytes(self._source_path)

    def was_made(self, variant: Variant) -> bool:
        return variant.name in self._made

    def load(self, variant: Variant) -> Provenance | None:
        path = self.path(variant)
        record = path / IN_FOLDER
        if not record.exists():
            return None
        return kept_model(
            path,
            Provenance,
            key=self._key(variant),
            record=record,
            progress=self._progress,
            leaving=WRITTEN_LATER,
        )

    def save(self, variant: Variant, provenance: Provenance) -> None:
        folder = self.path(variant)
        write_provenance(folder / IN_FOLDER, provenance)
        card = model_card(self._source.reference, variant, provenance)
        write_atomic(folder / CARD, card.encode())

    def forecast(self, variants: Sequence[Variant]) -> RoomNeeded:
        missing = [variant for variant in variants if self.load(variant) is None]
        bits = [variant.bits for variant in missing]
        memory_bytes = [self._memory_bytes(variant) for variant in missing]
        source_bytes = size_of(self._source_path)
        return RoomNeeded(
            disk_bytes=folder_disk_bytes(source_bytes, bits),
            memory_bytes=max(memory_bytes, default=0),
        )

    def make(self, variant: Variant) -> None:
        if self.load(variant) is not None:
            return
        self._refuse_dequantizing(variant)
        env = self._env(variant)
        target = self.path(variant)
        with locked(target):
            self._make(variant, env, target)
        self._made.add(variant.name)

    def _make(
        self,
        variant: Variant,
        env: Env,
        target: Path,
    ) -> None:
        require_ours(target, target / IN_FOLDER)
        remove_partials(target.parent)
        partial = target.with_name(f".{target.name}.partial")
        remove(partial)
        try:
            result = run_making(
                self._job(variant, env, partial),
                name=target.name,
                progress=self._progress,
            )
            provenance = self._described(variant, env, partial, result)
            write_provenance(partial / IN_FOLDER, provenance)
            remove(target)
            partial.rename(target)
        finally:
            remove(partial)
        self.save(variant, provenance)

    def check(self, variant: Variant) -> None:
        """After its quality was measured, which loads it too."""
        found = self.load(variant)
        if found is None or (found.check is not None and found.check.is_settled):
            return
        path = self.path(variant)
        env = ensure_env(variant.spec.judge, progress=self._progress)
        truth = truth_of_folder(self._task, variant, path, found, env)
        self.save(variant, msgspec.structs.replace(found, check=truth))

    def _refuse_dequantizing(self, variant: Variant) -> None:
        """Raises: UsageError for a library that would read the source in few bits as it is."""
        if self._quantization is not None and variant.quantizer not in DEQUANTIZING:
            able = ", ".join(sorted(DEQUANTIZING))
            raise UsageError(
                f"{variant.quantizer} reads no {self._quantization.method} weights",
                hint=f"by {able}",
            )

    def measure(self, variants: Sequence[Variant]) -> None:
        self._quality.measure(variants)

    def scored_tokens(self) -> list[ScoredTokens]:
        return self._quality.scored_tokens()

    def _env(self, variant: Variant) -> Env:
        return ensure_env(variant.spec.environment, progress=self._progress)

    def _samples(self, variant: Variant) -> int:
        usual = METHODS[variant.method].samples
        return self._recipe.samples or usual

    def _compute(self) -> str:
        """float32 on a CPU, where it is several times faster than bfloat16, if there is room."""
        is_roomy = self.base_bytes() * ROOMY < psutil.virtual_memory().total
        if is_roomy and not probe_gpus():
            return "float32"
        return "auto"

    def _key(self, variant: Variant) -> str:
        if variant not in self._keys:
            self._keys[variant] = cache_key(
                self._source.digest,
                msgspec.to_builtins(variant),
                self.ignored_layers,
                self._compute(),
                self._data_key(variant),
                program=variant.spec.program,
                env=self._env(variant),
            )
        return self._keys[variant]

    def _data_key(self, variant: Variant) -> list[object]:
        if not uses_data(variant):
            return []
        recipe = self._recipe
        text = "generated"
        if recipe.calibration != "generated":
            text = digest_file(self._calibration)
        return [text, self._samples(variant), recipe.seq_len, recipe.seed]

    def _memory_bytes(self, variant: Variant) -> int:
        config = text_config(self._source_path)
        copies = 1
        if self._recipe.quality:  # the base, beside it one at a time
            copies = 3 if variant.rounding is not None else 2
        tokens = 0
        if uses_data(variant):
            tokens = self._samples(variant) * self._recipe.seq_len
        return folder_memory_bytes(
            FolderMemory(
                weights_bytes=self.base_bytes(),
                hidden_size=int(config.get("hidden_size") or 0),
                intermediate_size=int(config.get("intermediate_size") or 0),
                calibration_tokens=tokens,
                has_hessian=variant.method in HESSIAN_METHODS,
                in_float32=self._compute() == "float32",
                copies=copies,
            )
        )

    def _job(
        self,
        variant: Variant,
        env: Env,
        output: Path,
    ) -> JobSpec:
        recipe = self._recipe
        calibration = recipe.calibration
        if calibration != "generated":
            calibration = str(self._calibration)
        return JobSpec(
            name=f"quantize-{variant.quantizer}",
            python=env.python,
            program=variant.spec.program,
            input={
                "model": str(self._source_path),
                "output": str(output),
                **msgspec.to_builtins(variant),
                "calibrated": uses_data(variant),
                "ignore": self.ignored_layers,
                "threads": self._threads,
                "samples": self._samples(variant),
                "seq_len": recipe.seq_len,
                "seed": recipe.seed,
                "compute": self._compute(),
                "calibration": calibration,
            },
            env=OFFLINE,
        )

    def _described(
        self,
        variant: Variant,
        env: Env,
        folder: Path,
        result: JobResult,
    ) -> Provenance:
        size_bytes = weight_bytes(folder)
        output = result.output
        parameters = max(output.get("parameters") or parameters_of(self._source_path), 1)
        return Provenance(
            key=self._key(variant),
            digest=content_digest(folder, leaving=WRITTEN_LATER),
            size_bytes=size_bytes,
            bits_per_weight=size_bytes * 8 / parameters,
            cpu_s=output["cpu_s"],
            wall_s=result.wall_s,
            peak_rss_bytes=output["peak_rss_bytes"],
            source=self._source.reference,
            source_digest=self._source.digest or "",
            recipe=msgspec.to_builtins(variant),
            versions=versions_in(env.python),
            calibration=output.get("calibration"),
            quantized_weights=output.get("quantized_weights"),
            planned_weights=output.get("planned_weights"),
            notes=output.get("notes", []),
            requantized_from=lossy_types_of(self._source),
        )


def uses_data(variant: Variant) -> bool:
    """Whether a calibration text decides what comes out."""
    return METHODS[variant.method].calibrated or variant.scheme in CALIBRATED_SCHEMES

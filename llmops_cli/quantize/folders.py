"""Quantized model folders: made by a library's job in a temporary place, described, and renamed
when whole.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import psutil

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import JobSpec
from llmops_cli.quantize import METHODS
from llmops_cli.quantize.provenance import Provenance, read_provenance, write_provenance
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.report import Served
from llmops_cli.quantize.tensors import parameters_of, weight_bytes
from llmops_cli.quantize.texts import texts_of
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.digests import digest_file, digest_path, digest_value
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.files import size_of, write_atomic
from llmops_cli.runtime.hardware import probe_gpus, usable_cores, versions_in
from llmops_cli.runtime.job import run_job
from llmops_cli.runtime.paths import WORKERS, cache_dir

PROVENANCE = "llmops.json"
CODE = ("_shared/calibration.py", "quantize/quantizing.py")
LIBRARIES_BYTES = 1 << 30
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
WINDOW = 512


class FolderMaker:
    """The quantized folders of one Hugging Face model; llmops.json in each is its provenance."""

    def __init__(
        self,
        recipe: QuantizeRecipe,
        source: Artifact,
        folder: Path,
        progress: Progress,
    ) -> None:
        assert source.path is not None
        if source.format != "hf":
            raise UsageError(
                f"this method reads unquantized Hugging Face folders; {source.reference} is {source.format}",
                hint="pass the original model",
            )
        self.recipe = recipe
        self.source = source
        self.folder = folder
        self.source_path = Path(source.path)
        self.progress = progress
        self.text, self.calibration = texts_of(recipe, self.source_path)
        self.text_digest = digest_file(self.text)
        self.threads = recipe.threads or usable_cores()
        self.made: set[str] = set()

    @property
    def ignore(self) -> list[str]:
        return list(dict.fromkeys(["lm_head", *self.recipe.ignore]))

    @property
    def pieces(self) -> list[tuple[list[int], int]]:
        """What quality was measured over: tokens, and the first position that was scored. None yet:
        empty.
        """
        try:
            return msgspec.json.decode(
                self._pieces_path().read_bytes(), type=list[tuple[list[int], int]]
            )
        except (OSError, msgspec.DecodeError):
            return []

    def _pieces_path(self) -> Path:
        return (
            cache_dir()
            / "heldout"
            / f"{digest_value([self.source.digest, self._quality_key()])[7:19]}.json"
        )

    def _quality_key(self) -> str:
        code = [digest_file(WORKERS / name) for name in ("hf/quality.py", "_shared/calibration.py")]
        return digest_value([self.text_digest, self.recipe.eval_tokens, code])

    @property
    def compute(self) -> str:
        """float32 on a CPU, where it is several times faster than bfloat16, if the machine has room
        for it.
        """
        roomy = self.base_bytes() * 4 < psutil.virtual_memory().total
        return "float32" if roomy and not probe_gpus() else "auto"

    def samples(self, variant: Variant) -> int:
        return self.recipe.samples or METHODS[variant.method].samples

    def path(self, variant: Variant) -> Path:
        return self.folder / f"{self.source.name}-{variant.name}"

    def base_bytes(self) -> int:
        return weight_bytes(self.source_path)

    # -- provenance
    # ------------------------------------------------------------------------------------

    def _key(self, variant: Variant) -> str:
        uses = variant_uses_data(variant)
        recipe = self.recipe
        data = (
            [self._calibration_digest(), self.samples(variant), recipe.seq_len, recipe.seed]
            if uses
            else []
        )
        code = [
            digest_file(WORKERS / name)
            for name in (f"{variant.spec.program.replace('.', '/')}.py", *CODE)
        ]
        return digest_value(
            [
                self.source.digest,
                msgspec.to_builtins(variant),
                self.ignore,
                self.compute,
                data,
                code,
            ]
        )

    def _calibration_digest(self) -> str:
        return (
            "generated" if self.recipe.calibration == "generated" else digest_file(self.calibration)
        )

    def load(self, variant: Variant) -> Provenance | None:
        """The provenance of a finished, unchanged folder."""
        path = self.path(variant)
        found = read_provenance(path / PROVENANCE)
        whole = (
            found is not None
            and weight_bytes(path) == found.size_bytes
            and found.key == self._key(variant)
        )
        return found if whole else None

    def save(self, variant: Variant, provenance: Provenance) -> None:
        write_provenance(self.path(variant) / PROVENANCE, provenance)
        card = self.path(variant) / "README.md"
        card.write_text(model_card(self.source.reference, variant, provenance))

    # -- making
    # ----------------------------------------------------------------------------------------

    def forecast(self, variants: list[Variant]) -> tuple[float, float]:
        """(disk, memory) in bytes for what is not made yet."""
        missing = [variant for variant in variants if self.load(variant) is None]
        base = size_of(self.source_path)
        disk = sum(base * (variant.bits + 1) / 16 for variant in missing) + (
            base * 0.25 if missing else 0
        )
        return disk, max(map(self._memory, missing), default=0)

    def _memory(self, variant: Variant) -> int:
        """Peak bytes: the weights, what is worked on, and what calibration keeps of every
        sample.
        """
        config = msgspec.json.decode((self.source_path / "config.json").read_bytes())
        config = {**config, **config.get("text_config", {})}
        hidden = int(config.get("hidden_size") or 0)
        wide = int(config.get("intermediate_size") or 0)
        tokens = self.samples(variant) * self.recipe.seq_len
        kept = 3 * tokens * hidden * 4 if variant_uses_data(variant) else 0
        hessian = 3 * wide * wide * 4 if variant.method in ("gptq", "smoothquant") else 0
        wider = 2 if self.compute == "float32" else 1
        copies = (
            2 + (variant.rounding is not None) if self.recipe.quality else 1
        )  # the base, beside it one at a time
        return int(self.base_bytes() * max(wider, copies) * 1.3) + kept + hessian + LIBRARIES_BYTES

    def make(self, variant: Variant) -> None:
        if self.load(variant) is not None:
            return
        env = ensure_env(variant.spec.environment, progress=self.progress)
        target = self.path(variant)
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        recipe = self.recipe
        job = JobSpec(
            name=f"quantize-{variant.quantizer}",
            python=env.python,
            program=variant.spec.program,
            input={
                "model": str(self.source_path),
                "output": str(partial),
                **msgspec.to_builtins(variant),
                "ignore": self.ignore,
                "threads": self.threads,
                "samples": self.samples(variant),
                "seq_len": recipe.seq_len,
                "seed": recipe.seed,
                "compute": self.compute,
                "calibration": "generated"
                if recipe.calibration == "generated"
                else str(self.calibration),
            },
            env=OFFLINE,
        )
        try:
            result = run_job(job, folder=jobs_dir(target.name), progress=self.progress)
            size = weight_bytes(partial)
            provenance = Provenance(
                key=self._key(variant),
                digest=digest_path(partial),
                size_bytes=size,
                bits_per_weight=size * 8 / max(parameters_of(self.source_path), 1),
                cpu_s=result.output["cpu_s"],
                wall_s=result.wall_s,
                peak_rss_bytes=result.output["peak_rss_bytes"],
                source=self.source.reference,
                source_digest=self.source.digest or "",
                recipe=msgspec.to_builtins(variant),
                versions=versions_in(env.python),
                calibration=result.output.get("calibration"),
            )
            write_provenance(partial / PROVENANCE, provenance)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self.save(variant, provenance)
        self.made.add(variant.name)

    # -- quality
    # ---------------------------------------------------------------------------------------

    def measure(self, variants: list[Variant]) -> None:
        """Fills in perplexity and KL divergence of folders that lack them for this text, per
        environment.
        """
        quality_key = self._quality_key()
        todo = [
            v for v in variants if (p := self.load(v)) is not None and p.quality_key != quality_key
        ]
        for environment in dict.fromkeys(v.spec.environment for v in todo):
            self._measure_in(
                environment, [v for v in todo if v.spec.environment == environment], quality_key
            )

    def _measure_in(self, environment: str, variants: list[Variant], quality_key: str) -> None:
        roundings = list(
            dict.fromkeys(v.rounding for v in variants if v.rounding and v.method != "int4")
        )
        names = ("bits", "group_size", "symmetric")
        job = JobSpec(
            name="quality",
            python=ensure_env(environment, progress=self.progress).python,
            program="hf.quality",
            input={
                "base": str(self.source_path),
                "text": str(self.text),
                "tokens": self.recipe.eval_tokens,
                "window": WINDOW,
                "threads": self.threads,
                "models": [{"path": str(self.path(v)), "format": v.spec.format} for v in variants],
                "roundings": [
                    {**dict(zip(names, r, strict=True)), "ignore": self.ignore} for r in roundings
                ],
            },
            env=OFFLINE,
        )
        output = run_job(job, folder=jobs_dir("quality"), progress=self.progress).output
        self._pieces_path().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._pieces_path(), msgspec.json.encode(output["pieces"]))
        plain = dict(zip(roundings, output["roundings"], strict=True))
        for variant, figures in zip(variants, output["models"], strict=True):
            provenance = self.load(variant)
            assert provenance is not None
            if "error" in figures:
                problem = f"it does not load: {figures['error']}"
                self.save(
                    variant,
                    msgspec.structs.replace(
                        provenance, problems=[problem], quality={}, quality_key=""
                    ),
                )
                self.progress.warn(f"{variant.name}: {problem}")
                continue
            quality = {
                "perplexity": figures["perplexity"],
                "perplexity_base": output["base"]["perplexity"],
                "kl_divergence": figures["kl_divergence"],
                "top1_agreement": figures["top1_agreement"],
                "eval_tokens": figures["tokens"],
            }
            if variant.rounding in plain and variant.method != "int4":
                quality["kl_rounding"] = plain[variant.rounding]["kl_divergence"]
                quality["perplexity_rounding"] = plain[variant.rounding]["perplexity"]
            library = "ctranslate2" if variant.spec.format == "ct2" else "transformers"
            name = f"{library} {provenance.versions.get(library, '')}".strip()
            served = provenance.served or Served(engine=name, says=figures["says"])
            self.save(
                variant,
                msgspec.structs.replace(
                    provenance, quality=quality, quality_key=quality_key, problems=[], served=served
                ),
            )


def jobs_dir(name: str) -> Path:
    """Where a job's log stays after it failed."""
    return cache_dir() / "jobs" / f"quantize-{name}-{os.getpid()}"


def variant_uses_data(variant: Variant) -> bool:
    return METHODS[variant.method].calibrated or variant.scheme == "FP8"


def model_card(base: str, variant: Variant, provenance: Provenance) -> str:
    """README.md of the folder, in the hub's form."""
    quality = provenance.quality
    lines = [
        "---",
        f"base_model: {base}",
        "library_name: transformers",
        f"tags: [{variant.spec.format}, {variant.method}]",
        "---",
        "",
        f"# {Path(base).name}, {variant.name}",
        "",
        f"Made by llmops with {variant.quantizer} from `{base}` ({provenance.source_digest[:19]}).",
        "",
        "| | |",
        "|---|---|",
        f"| method | {variant.method} |",
        f"| scheme | {variant.scheme} |",
        f"| group size | {variant.group_size if variant.group_size > 0 else 'whole rows'} |",
        f"| size | {provenance.size_bytes / 1e6:.1f} MB, {provenance.bits_per_weight:.2f} bits per weight |",
    ]
    if quality:
        change = quality["perplexity"] / quality["perplexity_base"] - 1
        lines.append(f"| perplexity | {quality['perplexity']:.4f} ({change:+.2%} of the base's) |")
        lines.append(f"| KL divergence | {quality['kl_divergence']:.5f} nats |")
    if provenance.calibration:
        facts = provenance.calibration
        lines.append(
            f"| calibration | {facts['samples']} samples, {facts['tokens']} tokens, {facts['digest'][:19]} |"
        )
    if provenance.served:
        lines.append(f"| served by | {provenance.served.engine} |")
    lines += [f"| PROBLEM | {problem} |" for problem in provenance.problems]
    return "\n".join([*lines, "", "Every figure with its origin is in llmops.json.", ""])

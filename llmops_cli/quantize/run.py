"""`llmops quantize`: makes each scheme once, measures what it cost, and resumes after an interruption.

Beside each file lies FILE.json, its provenance: the key of everything that went into it and its digest.
A file without a matching provenance is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.names import load_named
from llmops_cli.core.recipe import QuantizeRecipe
from llmops_cli.core.report import QuantizedArtifact, QuantizeReport
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.quantize import METHODS
from llmops_cli.quantize.gguf import FLOAT_SCHEMES, NEEDS_IMATRIX, Gguf
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.hardware import usable_cores, versions_in
from llmops_cli.runtime.job import JobResult, Json, run_job
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.paths import WORKERS, recipes_dir
from llmops_cli.runtime.store import (
    digest_file,
    digest_value,
    locked,
    require_space,
    size_of,
    to_json,
    write_atomic,
)

OnEvent = Callable[[Json], None]
IMATRIX_TOKENS = 32768
CODE = (
    "gguf_convert.py",
    "_gguf_vocab.py",
    "_safetensors.py",
    "gguf_quantize.py",
    "gguf_quality.py",
    "imatrix_hf.py",
)


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a file was made from and what its making cost."""

    key: str
    digest: str
    size_bytes: int
    bits_per_weight: float
    cpu_s: float
    wall_s: float
    peak_rss_bytes: int | None
    imatrix: str = "none"
    fallback_tensors: int = 0
    quality: dict[str, float] = {}
    quality_key: str = ""


def check_schemes(recipe: QuantizeRecipe) -> list[str]:
    """The recipe's schemes by canonical name, each once. Raises: UsageError for an unknown method or scheme."""
    method = cast(Gguf, load_named("method", recipe.method, METHODS, "llmops.methods"))
    schemes = list(dict.fromkeys(method.check_scheme(scheme) for scheme in recipe.scheme))
    if not schemes:
        raise UsageError("no scheme given", hint="--scheme Q4_K_M,Q8_0")
    return schemes


def quantize(
    recipe: QuantizeRecipe,
    origins: dict[str, str],
    source: Artifact,
    *,
    folder: Path,
    on_event: OnEvent,
    warn: Callable[[str], None],
) -> QuantizeReport:
    """Every scheme of the recipe as a file in `folder`, with size and quality.

    Raises: UsageError for a model, scheme or text that cannot be used; EnvironmentMissing for a missing library
    or too little disk space; EngineFailed if a job fails. Finished schemes stay and are not made again.
    """
    schemes = check_schemes(recipe)
    if source.format not in ("hf", "gguf"):
        raise UsageError(f"method 'gguf' reads hf and gguf models, not {source.format}")
    clock, env = RunClock(), find_env(Gguf.environment)
    maker = _Maker(recipe, source, folder, env, on_event, warn)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "quantize"):
        maker.check_space(schemes)
        for scheme in schemes:
            maker.make(scheme)
        if recipe.quality:
            maker.measure(schemes)
    return QuantizeReport(
        manifest=clock.manifest(
            recipe,
            origins,
            python=env.python,
            digests={"model": source.digest or "", "text": maker.text_digest},
        ),
        artifacts=[maker.describe(scheme) for scheme in schemes],
    )


class _Maker:
    """The files of one source model in one folder."""

    def __init__(
        self,
        recipe: QuantizeRecipe,
        source: Artifact,
        folder: Path,
        env: Env,
        on_event: OnEvent,
        warn: Callable[[str], None],
    ) -> None:
        assert source.path is not None
        self.recipe, self.source, self.folder, self.env = recipe, source, folder, env
        self.on_event, self.warn = on_event, warn
        self.source_path = Path(source.path)
        self.stem = self.source_path.stem if source.format == "gguf" else Path(source.reference).name
        self.threads = recipe.threads or usable_cores()
        self.made: set[str] = set()
        self.text = Path(recipe.eval_text) if recipe.eval_text else self._own_text("heldout")
        self.calibration = Path(recipe.calibration_text) if recipe.calibration_text else self._own_text("calibration")
        for path in (
            self.text,
            self.calibration,
            *([Path(recipe.imatrix)] if self._imatrix_is_file() else []),
        ):
            if not path.is_file():
                raise UsageError(f"no file at {path}")
        self.text_digest = digest_file(self.text)
        versions = versions_in(env.python)
        self.code = [digest_file(WORKERS / name) for name in CODE] + [versions.get("llama-cpp-python", "")]

    def _own_text(self, name: str) -> Path:
        """The text that the model's makers put beside it, else the one that ships with the toolkit."""
        own = self.source_path / f"{name}.jsonl"
        return own if own.is_file() else recipes_dir() / "data" / f"{name}.txt"

    def _imatrix_is_file(self) -> bool:
        return self.recipe.imatrix not in ("auto", "none")

    def path(self, scheme: str) -> Path:
        return self.folder / f"{self.stem}-{scheme}.gguf"

    def base_path(self) -> Path:
        """The 16-bit file that schemes are made from and compared with."""
        return self.source_path if self.source.format == "gguf" else self.path("F16")

    # -- provenance ------------------------------------------------------------------------------------

    def _key(self, scheme: str) -> str:
        imatrix = self.recipe.imatrix if not self._imatrix_is_file() else digest_file(Path(self.recipe.imatrix))
        uses = "none" if scheme in FLOAT_SCHEMES or not Gguf.wants_imatrix(scheme) else imatrix
        calibration = digest_file(self.calibration) if uses == "auto" else ""
        return digest_value([self.source.digest, scheme, uses, calibration, self.code])

    def load(self, scheme: str) -> Provenance | None:
        """The provenance of a finished, unchanged file."""
        path = self.path(scheme)
        try:
            found = msgspec.json.decode(Path(f"{path}.json").read_bytes(), type=Provenance)
            whole = path.stat().st_size == found.size_bytes
        except (OSError, msgspec.DecodeError):
            return None
        return found if whole and found.key == self._key(scheme) else None

    def _save(self, scheme: str, provenance: Provenance) -> None:
        write_atomic(Path(f"{self.path(scheme)}.json"), to_json(provenance))

    # -- making ----------------------------------------------------------------------------------------

    def check_space(self, schemes: list[str]) -> None:
        """Estimated from the weights' size: a 16-bit base, then each scheme at its nominal bits."""
        missing = [s for s in schemes if self.load(s) is None]
        base_bytes = size_of(self.source_path)
        need = 0.0
        if self.source.format == "hf" and any(s != "F16" for s in missing) and self.load("F16") is None:
            need += base_bytes
        need += sum(base_bytes * _nominal_bits(scheme) / 16 for scheme in missing)
        if need:
            require_space(self.folder, int(need * 1.05), what=f"{len(missing)} scheme(s) of {self.stem}")

    def make(self, scheme: str) -> None:
        if self.load(scheme) is not None:
            return
        if self.source.format == "gguf":
            if scheme in FLOAT_SCHEMES:
                raise UsageError(f"{scheme} needs the Hugging Face model; {self.source.reference} is a GGUF file")
        elif scheme != "F16" and self.load("F16") is None:
            self.make("F16")
        imatrix = self._imatrix_for(scheme)
        partial = self.path(scheme).with_name(f".{self.path(scheme).name}.partial")
        if scheme in FLOAT_SCHEMES:
            job = Gguf.convert_job(self.env, model=str(self.source_path), output=str(partial), scheme=scheme)
        else:
            job = Gguf.quantize_job(
                self.env,
                model=str(self.base_path()),
                output=str(partial),
                scheme=scheme,
                imatrix=str(imatrix) if imatrix else None,
                threads=self.threads,
            )
        try:
            result = self._run(job)
            self._finish(scheme, partial, result, imatrix)
        finally:
            partial.unlink(missing_ok=True)

    def _run(self, job: JobSpec) -> JobResult:
        with TemporaryDirectory(prefix="llmops-") as scratch:
            return run_job(job, folder=Path(scratch), on_event=self.on_event)

    def _finish(self, scheme: str, partial: Path, result: JobResult, imatrix: Path | None) -> None:
        output, path = result.output, self.path(scheme)
        provenance = Provenance(
            key=self._key(scheme),
            digest=digest_file(partial),
            size_bytes=partial.stat().st_size,
            bits_per_weight=output["tensor_bytes"] * 8 / output["parameters"],
            cpu_s=output["cpu_s"],
            wall_s=result.wall_s,
            peak_rss_bytes=output["peak_rss_bytes"],
            imatrix=imatrix.name if imatrix else "none",
            fallback_tensors=output.get("fallback_tensors", 0),
        )
        partial.replace(path)
        self._save(scheme, provenance)
        self.made.add(scheme)

    def _imatrix_for(self, scheme: str) -> Path | None:
        if scheme in FLOAT_SCHEMES or self.recipe.imatrix == "none" or not Gguf.wants_imatrix(scheme):
            return None
        if self._imatrix_is_file():
            return Path(self.recipe.imatrix)
        reason = None
        if self.source.format != "hf":
            reason = "an importance matrix can only be computed from a Hugging Face folder"
        else:
            try:
                return self._computed_imatrix(find_env("train"))
            except EnvironmentMissing as error:
                reason = error.message
        if scheme in NEEDS_IMATRIX:
            raise EnvironmentMissing(f"{scheme} needs an importance matrix: {reason}", hint="--imatrix FILE")
        self.warn(f"{scheme} without importance matrix: {reason}")
        return None

    def _computed_imatrix(self, env: Env) -> Path:
        key = digest_value([self.source.digest, digest_file(self.calibration), self.code])[7:19]
        path = self.folder / f"{self.stem}-imatrix-{key}.gguf"
        if not path.exists():
            partial = path.with_name(f".{path.name}.partial")
            job = Gguf.imatrix_job(
                env,
                model=str(self.source_path),
                output=str(partial),
                text=str(self.calibration),
                tokens=IMATRIX_TOKENS,
                threads=self.threads,
            )
            try:
                self._run(job)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return path

    # -- quality ---------------------------------------------------------------------------------------

    def measure(self, schemes: list[str]) -> None:
        """Fills in perplexity and KL divergence of files that lack them for this text."""
        quality_key = digest_value([self.text_digest, self.recipe.eval_tokens, self.code])
        todo = [s for s in schemes if (p := self.load(s)) is not None and p.quality_key != quality_key]
        if not todo:
            return
        result = self._run(
            Gguf.quality_job(
                self.env,
                base=str(self.base_path()),
                models=[str(self.path(s)) for s in todo],
                text=str(self.text),
                tokens=self.recipe.eval_tokens,
                threads=self.threads,
            )
        )
        base, *measured = result.output["models"]
        for scheme, entry in zip(todo, measured, strict=True):
            provenance = self.load(scheme)
            assert provenance is not None
            quality = {
                "perplexity": entry["perplexity"],
                "perplexity_base": base["perplexity"],
                "kl_divergence": entry["kl_divergence"],
                "top1_agreement": entry["top1_agreement"],
                "eval_tokens": result.output["tokens"],
            }
            self._save(scheme, msgspec.structs.replace(provenance, quality=quality, quality_key=quality_key))

    def describe(self, scheme: str) -> QuantizedArtifact:
        p = self.load(scheme)
        assert p is not None
        quality = p.quality if self.recipe.quality else {}
        return QuantizedArtifact(
            path=str(self.path(scheme)),
            method=Gguf.name,
            engine=Gguf.engine,
            scheme=scheme,
            format=Gguf.format,
            size_bytes=p.size_bytes,
            size_base_bytes=size_of(self.base_path()),
            bits_per_weight=p.bits_per_weight,
            perplexity=quality.get("perplexity"),
            perplexity_base=quality.get("perplexity_base"),
            kl_divergence=quality.get("kl_divergence"),
            top1_agreement=quality.get("top1_agreement"),
            eval_tokens=int(quality["eval_tokens"]) if quality else None,
            cpu_s=p.cpu_s,
            wall_s=p.wall_s,
            peak_rss_bytes=p.peak_rss_bytes,
            digest=p.digest,
            imatrix=p.imatrix,
            fallback_tensors=p.fallback_tensors,
            reused=scheme not in self.made,
        )


def _nominal_bits(scheme: str) -> float:
    """A generous size per weight: the number in the name plus scales."""
    if scheme in FLOAT_SCHEMES:
        return 32.0 if scheme == "F32" else 16.0
    digits = [char for char in scheme if char.isdigit()]
    return (float(digits[0]) if digits else 8.0) + 1.0

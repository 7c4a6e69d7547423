"""The GGUF files of a model: converted once, quantized to every type, measured by llama.cpp."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.quantize.gguf import FLOAT_SCHEMES, NEEDS_IMATRIX, Gguf
from llmops_cli.quantize.provenance import Provenance, read_provenance, write_provenance
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.texts import texts_of
from llmops_cli.runtime.digests import digest_file, digest_value
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import size_of, write_atomic
from llmops_cli.runtime.hardware import usable_cores, versions_in
from llmops_cli.runtime.job import JobResult, run_job
from llmops_cli.runtime.paths import WORKERS

IMATRIX_TOKENS = 32768
LIBRARIES_BYTES = 1 << 30
CODE = (
    "llamacpp/convert.py",
    "llamacpp/vocabulary.py",
    "_shared/safetensors.py",
    "llamacpp/quantize.py",
    "llamacpp/quality.py",
    "hf/imatrix.py",
    "_shared/calibration.py",
)


class GgufMaker:
    """The GGUF files of one source model in one folder; FILE.json beside each is its provenance."""

    def __init__(
        self,
        recipe: QuantizeRecipe,
        source: Artifact,
        folder: Path,
        progress: Progress,
    ) -> None:
        assert source.path is not None
        if source.format not in ("hf", "gguf"):
            raise UsageError(f"method 'gguf' reads hf and gguf models, not {source.format}")
        self.env = env = find_env(Gguf.environment)
        self.recipe = recipe
        self.source = source
        self.folder = folder
        self.progress = progress
        self.source_path = Path(source.path)
        self.stem = self.source_path.stem if source.format == "gguf" else source.name
        self.threads = recipe.threads or usable_cores()
        self.made: set[str] = set()
        self.text, self.calibration = texts_of(recipe, self.source_path)
        if recipe.calibration == "generated":
            raise UsageError(
                "the importance matrix reads a text", hint="--calibration builtin, or a file"
            )
        if self._imatrix_is_file() and not Path(recipe.imatrix).is_file():
            raise UsageError(f"no file at {recipe.imatrix}")
        self.text_digest = digest_file(self.text)
        versions = versions_in(env.python)
        self.versions = {
            name: version
            for name, version in versions.items()
            if name in ("llama-cpp-python", "gguf")
        }
        self.code = [digest_file(WORKERS / name) for name in CODE] + [
            versions.get("llama-cpp-python", "")
        ]

    def _imatrix_is_file(self) -> bool:
        return self.recipe.imatrix not in ("auto", "none")

    def path(self, scheme: str) -> Path:
        return self.folder / f"{self.stem}-{scheme}.gguf"

    def base_path(self) -> Path:
        """The 16-bit file that schemes are made from and compared with."""
        return self.source_path if self.source.format == "gguf" else self.path("F16")

    # -- provenance
    # ------------------------------------------------------------------------------------

    def _key(self, scheme: str) -> str:
        imatrix = (
            self.recipe.imatrix
            if not self._imatrix_is_file()
            else digest_file(Path(self.recipe.imatrix))
        )
        wanted = self._imatrix_is_file() or Gguf.wants_imatrix(scheme)
        uses = "none" if scheme in FLOAT_SCHEMES or not wanted else imatrix
        calibration = digest_file(self.calibration) if uses == "auto" else ""
        return digest_value([self.source.digest, scheme, uses, calibration, self.code])

    def load(self, scheme: str) -> Provenance | None:
        """The provenance of a finished, unchanged file."""
        path = self.path(scheme)
        found = read_provenance(Path(f"{path}.json"))
        if found is None or not path.is_file() or path.stat().st_size != found.size_bytes:
            return None
        if found.imatrix == "none" and self._can_compute(scheme):
            return None  # made where it could not be computed
        return found if found.key == self._key(scheme) else None

    def _can_compute(self, scheme: str) -> bool:
        """Whether an importance matrix is wanted and can be had here."""
        if (
            self.recipe.imatrix != "auto"
            or scheme in FLOAT_SCHEMES
            or not Gguf.wants_imatrix(scheme)
        ):
            return False
        try:
            return self.source.format == "hf" and bool(find_env("train"))
        except EnvironmentMissing:
            return False

    def save(self, scheme: str, provenance: Provenance) -> None:
        write_provenance(Path(f"{self.path(scheme)}.json"), provenance)

    # -- making
    # ----------------------------------------------------------------------------------------

    def forecast(self, schemes: list[str]) -> tuple[float, float]:
        """(disk, memory) in bytes for what is not made yet: a 16-bit base, then each scheme at its
        nominal bits. Memory is the importance matrix's, whose model is whole in memory; llama.cpp
        maps files.
        """
        missing = [s for s in schemes if self.load(s) is None]
        base_bytes = size_of(self.source_path)
        need = 0.0
        if (
            self.source.format == "hf"
            and any(s != "F16" for s in missing)
            and self.load("F16") is None
        ):
            need += base_bytes
        need += sum(base_bytes * _nominal_bits(scheme) / 16 for scheme in missing)
        computes = (
            self.recipe.imatrix == "auto"
            and any(map(Gguf.wants_imatrix, missing))
            and self.source.format == "hf"
        )
        return need * 1.05, base_bytes * 1.1 + LIBRARIES_BYTES if computes else 0

    def make(self, scheme: str) -> None:
        if self.load(scheme) is not None:
            return
        if self.source.format == "gguf":
            if scheme in FLOAT_SCHEMES:
                raise UsageError(
                    f"{scheme} needs the Hugging Face model; {self.source.reference} is a GGUF file"
                )
        elif scheme != "F16" and self.load("F16") is None:
            self.make("F16")
        imatrix = self._imatrix_for(scheme)
        partial = self.path(scheme).with_name(f".{self.path(scheme).name}.partial")
        if scheme in FLOAT_SCHEMES:
            job = Gguf.convert_job(
                self.env, model=str(self.source_path), output=str(partial), scheme=scheme
            )
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
            return run_job(job, folder=Path(scratch), progress=self.progress)

    def _finish(self, scheme: str, partial: Path, result: JobResult, imatrix: Path | None) -> None:
        output = result.output
        path = self.path(scheme)
        provenance = Provenance(
            key=self._key(scheme),
            digest=digest_file(partial),
            size_bytes=partial.stat().st_size,
            bits_per_weight=output["tensor_bytes"] * 8 / output["parameters"],
            cpu_s=output["cpu_s"],
            wall_s=result.wall_s,
            peak_rss_bytes=output["peak_rss_bytes"],
            source=self.source.reference,
            source_digest=self.source.digest or "",
            recipe={"method": "gguf", "scheme": scheme},
            versions=self.versions,
            imatrix=imatrix.name if imatrix else "none",
            calibration=_facts(imatrix),
            fallback_tensors=output.get("fallback_tensors", 0),
        )
        partial.replace(path)
        self.save(scheme, provenance)
        self.made.add(scheme)

    def _imatrix_for(self, scheme: str) -> Path | None:
        if scheme in FLOAT_SCHEMES:
            return None
        if self._imatrix_is_file():
            return Path(self.recipe.imatrix)
        if self.recipe.imatrix == "none" and scheme in NEEDS_IMATRIX:
            raise UsageError(
                f"{scheme} needs an importance matrix", hint="--imatrix auto, or a file"
            )
        if self.recipe.imatrix == "none" or not Gguf.wants_imatrix(scheme):
            return None
        reason = None
        if self.source.format != "hf":
            reason = "an importance matrix can only be computed from a Hugging Face folder"
        else:
            try:
                return self._computed_imatrix(find_env("train"))
            except EnvironmentMissing as error:
                reason = error.message
        if scheme in NEEDS_IMATRIX:
            raise EnvironmentMissing(
                f"{scheme} needs an importance matrix: {reason}", hint="--imatrix FILE"
            )
        self.progress.warn(f"{scheme} without importance matrix: {reason}")
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
                result = self._run(job)
                write_atomic(
                    Path(f"{path}.json"), msgspec.json.encode(result.output["calibration"])
                )
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return path

    # -- quality
    # ---------------------------------------------------------------------------------------

    def measure(self, schemes: list[str]) -> None:
        """Fills in perplexity and KL divergence of files that lack them for this text."""
        quality_key = digest_value([self.text_digest, self.recipe.eval_tokens, self.code])
        todo = [
            s for s in schemes if (p := self.load(s)) is not None and p.quality_key != quality_key
        ]
        if not todo:
            return
        if self.source.format == "hf":
            self.make("F16")  # the base to compare with, should someone have removed it
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
            self.save(
                scheme,
                msgspec.structs.replace(provenance, quality=quality, quality_key=quality_key),
            )


def _facts(imatrix: Path | None) -> dict[str, Any] | None:
    """What a matrix of ours was computed from."""
    path = Path(f"{imatrix}.json")
    return (
        msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if imatrix and path.is_file()
        else None
    )


def _nominal_bits(scheme: str) -> float:
    """A generous size per weight: the number in the name plus scales."""
    if scheme in FLOAT_SCHEMES:
        return 32.0 if scheme == "F32" else 16.0
    digits = [char for char in scheme if char.isdigit()]
    return (float(digits[0]) if digits else 8.0) + 1.0

"""The GGUF files of a model: converted once, quantized to every type, measured by llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import UsageError
from llmops_cli.core.spec import JobSpec
from llmops_cli.models.checked import NO_CHECK, Check, require_true
from llmops_cli.models.convert import (
    BASE_SCHEME,
    FLOAT_SCHEMES,
    Conversion,
    confirmed,
    convert,
    gguf_conversion,
)
from llmops_cli.models.gguf.parts import GgufModel
from llmops_cli.models.notices import Notice
from llmops_cli.models.provenance import Made, kept_model, record_beside, write_provenance
from llmops_cli.models.truth import FaultKind, Outcome, with_fault
from llmops_cli.quantize.first_file import all_lossy_types, first_file, lossy_types_of
from llmops_cli.quantize.gguf import is_mix
from llmops_cli.quantize.imatrix import ImportanceMatrix
from llmops_cli.quantize.jobs import run_measuring
from llmops_cli.quantize.mix import Mixer, MixPlan, require_fits
from llmops_cli.quantize.original_job import original_base
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.quality import ORIGINAL, gguf_quality, unmeasured
from llmops_cli.quantize.task import QuantizeTask, ScoredTokens
from llmops_cli.quantize.texts import EVAL_WINDOW, texts_of
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.digests import digest_file
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.files import size_of
from llmops_cli.sizing.quantization import RoomNeeded, gguf_forecast

QUANTIZE = "llamacpp.quantize"
QUALITY = "llamacpp.quality"
ENVIRONMENT = "llamacpp"
FROM_GGUF = "it is made from a GGUF file, with which its quality is compared"
FROM_GGUF_UNMEASURED = "it is made from a GGUF file, and --no-quality leaves out comparing with it"
WIDE_BYTES = 2
"""Of a weight in F16."""


class GgufMaker:
    """The GGUF files of one source model in one folder; FILE.json beside each is its provenance."""

    def __init__(self, task: QuantizeTask) -> None:
        source = task.source
        if source.format not in ("hf", "gguf"):
            raise UsageError(f"method 'gguf' reads hf and gguf models, not {source.format}")
        self._source = task.source
        self._source_path = task.source_path
        self._recipe = task.recipe
        self._progress = task.progress
        self._folder = task.folder
        self._threads = task.threads
        self._env = find_env(ENVIRONMENT)
        self._original = original_base(source)
        self._stem = source.name
        self._first: GgufModel | None = None
        if source.format == "gguf":
            self._first = first_file(task)
            self._stem = self._first.stem
        self._text, calibration = texts_of(task.recipe, task.source_path)
        self._matrix = ImportanceMatrix(task, stem=self._stem, text=calibration)
        self._mixer = Mixer(task, stem=self._stem, text=calibration, env=self._env)
        self._keys: dict[str, str] = {}
        self._made: set[str] = set()
        self.text_digest = digest_file(self._text)

    def path(self, variant: Variant) -> Path:
        return self._path_of(variant.scheme)

    def base_file(self) -> Artifact | None:
        """What all are made from, where its answers are known to be the original's; else None."""
        if self._first is not None:
            return self._source
        kept = self._load(BASE_SCHEME)
        if kept is None or kept.check is None:
            return None
        if not kept.check.is_settled or kept.check.outcome is not Outcome.PASSED:
            return None
        path = self._base_path()
        return Artifact(
            reference=path.name,
            format="gguf",
            path=str(path),
            digest=kept.digest,
            size_bytes=kept.size_bytes,
        )

    def base_bytes(self) -> int:
        if self._first is not None:
            return self._first.size_bytes
        return size_of(self._base_path())

    def was_made(self, variant: Variant) -> bool:
        return variant.scheme in self._made

    def load(self, variant: Variant) -> Provenance | None:
        return self._load(variant.scheme)

    def save(self, variant: Variant, provenance: Provenance) -> None:
        write_provenance(record_beside(self.path(variant)), provenance)

    def forecast(self, variants: Sequence[Variant]) -> RoomNeeded:
        missing = [v.scheme for v in variants if self.load(v) is None]
        measures = any(is_mix(scheme) for scheme in missing)
        others = [scheme for scheme in missing if scheme != BASE_SCHEME]
        converts_base = False
        if others and self._source.format == "hf":
            converts_base = self._load(BASE_SCHEME) is None
        computes_matrix = any(self._matrix.is_computed_for(scheme) for scheme in missing)
        needed = gguf_forecast(
            self._wide_bytes(),
            [scheme for scheme in missing if not is_mix(scheme)],
            converts_base=converts_base,
            computes_matrix=computes_matrix,
        )
        if not measures:
            return needed
        disk_bytes = needed.disk_bytes + self._mixer.disk_bytes(self._source_path)
        return RoomNeeded(disk_bytes=disk_bytes, memory_bytes=needed.memory_bytes)

    def make(self, variant: Variant) -> None:
        self._make(variant.scheme)

    def check(self, variant: Variant) -> None:
        """It was when it was made; that nothing was quantized is seen in its size."""
        found = self.load(variant)
        base = self._load(BASE_SCHEME)
        if found is None or base is None or variant.scheme in FLOAT_SCHEMES:
            return
        if found.check is None or not is_as_wide(found, base):
            return
        kind = FaultKind.NOTHING_QUANTIZED
        if all(fault.kind is not kind for fault in found.check.faults):
            text = f"no tensor of it is quantized: {found.bits_per_weight:.2f} bits per weight"
            marked = with_fault(found.check, kind, text)
            self.save(variant, msgspec.structs.replace(found, check=marked))

    def measure(self, variants: Sequence[Variant]) -> None:
        key = self._quality_key()
        todo = unmeasured(self, variants, key)
        if not todo:
            return
        if self._source.format == "hf":
            self._make(BASE_SCHEME)  # to compare with, should someone have removed it
        paths = [self.path(variant) for variant, _ in todo]
        job = self._quality_job(paths)
        output = run_measuring(job, progress=self._progress)
        base_name = ORIGINAL if self._original else self._base_path().name
        base, *measured = output["models"]
        tokens = output["tokens"]
        for (variant, provenance), figures in zip(todo, measured, strict=True):
            quality = gguf_quality(figures, base=base, tokens=tokens)
            found = msgspec.structs.replace(
                provenance, quality=quality, quality_key=key, quality_base=base_name
            )
            self.save(variant, found)

    def scored_tokens(self) -> list[ScoredTokens]:
        return []  # llama.cpp's server tells no log-probabilities of a prompt

    def _quality_key(self) -> str:
        tokens = self._recipe.eval_tokens
        base_key = self._original.key if self._original else ""
        return cache_key(
            self.text_digest, tokens, EVAL_WINDOW, base_key, program=QUALITY, env=self._env
        )

    def _quality_job(self, paths: Sequence[Path]) -> JobSpec:
        original = self._original
        return JobSpec(
            name="quality",
            python=self._env.python,
            program=QUALITY,
            env=original.variables if original else {},
            input={
                **(original.fields if original else {}),
                "base": str(self._base_path()),
                "models": [str(path) for path in paths],
                "text": str(self._text),
                "tokens": self._recipe.eval_tokens,
                "threads": self._threads,
                "window": EVAL_WINDOW,
            },
        )

    def _path_of(self, scheme: str) -> Path:
        return self._folder / f"{self._stem}-{scheme}.gguf"

    def _wide_bytes(self) -> int:
        """What the source takes with 16 bits a weight."""
        if self._first is not None:
            return WIDE_BYTES * self._first.values
        return size_of(self._source_path)

    def _base_path(self) -> Path:
        """The 16-bit file, or the user's own, that schemes are made from and compared with."""
        if self._first is not None:
            return self._first.path
        return self._path_of(BASE_SCHEME)

    def _load(self, scheme: str) -> Provenance | None:
        if is_mix(scheme) and not self._mixer.is_measured(self._measuring(scheme, None)):
            return None
        path = self._path_of(scheme)
        found = kept_model(
            path,
            Provenance,
            key=self._key(scheme),
            record=record_beside(path),
            progress=self._progress,
        )
        if found is None or found.imatrix != "none":
            return found
        if self._matrix.is_computable(scheme):
            return None  # made where it could not be computed
        return found

    def _key(self, scheme: str) -> str:
        if scheme not in self._keys:
            self._keys[scheme] = self._key_of(scheme)
        return self._keys[scheme]

    def _key_of(self, scheme: str) -> str:
        base = self._source.digest
        if self._first is None:
            if scheme in FLOAT_SCHEMES:
                return self._conversion(scheme).key
            base = self._key(BASE_SCHEME)
        matrix_key = self._matrix.key(scheme)
        if is_mix(scheme):
            types = self._plan(scheme, None).types
            matrix_key = self._matrix.key_used(scheme)
            return cache_key(base, types, matrix_key, program=QUANTIZE, env=self._env)
        return cache_key(base, scheme, matrix_key, program=QUANTIZE, env=self._env)

    def _make(self, scheme: str) -> None:
        found = self._load(scheme)
        if found is not None:
            self._confirm(scheme, found)
            return
        matrix = None
        plan = None
        if scheme in FLOAT_SCHEMES and self._first is None:
            conversion = self._conversion(scheme)
        else:
            if self._source.format == "hf":
                self._make(BASE_SCHEME)
            matrix = self._matrix.file_for(scheme)
            if is_mix(scheme):
                plan = self._plan(scheme, matrix)
            conversion = self._quantization(scheme, matrix, plan)
        made = convert(conversion, progress=self._progress)
        if plan is not None:
            require_fits(made.size_bytes, self._mixer.room_bytes)
        fields = msgspec.structs.asdict(made)
        fields["calibration"] = self._matrix.facts(matrix)  # what the matrix was computed from
        matrix_name = matrix.name if matrix else "none"
        provenance = Provenance(
            **fields,
            recipe={"method": "gguf", "scheme": scheme},
            imatrix=matrix_name,
            mixture=plan.mixture if plan else None,
            requantized_from=self._lossy_types(),
        )
        write_provenance(record_beside(conversion.target), provenance)
        self._made.add(scheme)

    def _base_notices(self) -> tuple[Notice, ...]:
        """What holds of the file that others are made from holds of them too."""
        base = self._load(BASE_SCHEME) if self._source.format == "hf" else None
        return tuple(base.notices) if base else ()

    def _conversion(self, scheme: str) -> Conversion:
        target = self._path_of(scheme)
        conversion = gguf_conversion(
            self._source,
            target,
            scheme,
            progress=self._progress,
            beyond_window=self._recipe.beyond_window,
        )
        return msgspec.structs.replace(conversion, check=self._check_of(scheme))

    def _check_of(self, scheme: str) -> Check:
        """A wrong conversion ends the command; what a type loses is a finding."""
        left_out = ""
        if self._source.format == "gguf":
            left_out = FROM_GGUF if self._recipe.quality else FROM_GGUF_UNMEASURED
        elif not self._recipe.check:
            left_out = NO_CHECK
        is_strict = scheme in FLOAT_SCHEMES
        if is_mix(scheme):
            scheme = self._plan(scheme, None).file_type
        return Check(
            scheme=scheme,
            format="gguf",
            is_strict=is_strict,
            left_out=left_out,
            beyond_window=self._recipe.beyond_window,
        )

    def _confirm(self, scheme: str, found: Provenance) -> None:
        """The check of a file that was kept, if it was not made then."""
        check = self._check_of(scheme)
        target = self._path_of(scheme)
        truth = confirmed(check, self._source, target, found, progress=self._progress)
        require_true(check, truth, target)

    def _lossy_types(self) -> str:
        """Those that the source's weights have gone through already, the most first."""
        if self._first is None:
            return lossy_types_of(self._source)
        return all_lossy_types(self._first)

    def _quantization(
        self,
        scheme: str,
        matrix: Path | None,
        plan: MixPlan | None,
    ) -> Conversion:
        file_type = scheme
        types: dict[str, str] = {}
        if plan is not None:
            file_type = plan.file_type
            types = plan.types
        return Conversion(
            name="quantize",
            program=QUANTIZE,
            env=self._env,
            target=self._path_of(scheme),
            key=self._key(scheme),
            input={
                "model": str(self._base_path()),
                "scheme": file_type,
                "tensor_types": types,
                "imatrix": str(matrix) if matrix else None,
                "threads": self._threads,
                "requantizes": self._first is not None and bool(self._first.quantized_types),
            },
            source=self._source,
            check=self._check_of(scheme),
            notices=self._base_notices(),
        )

    def _plan(self, scheme: str, matrix: Path | None) -> MixPlan:
        """What each tensor becomes, from measuring that was done or, with the base there, is."""
        return self._mixer.plan(self._measuring(scheme, matrix))

    def _measuring(self, scheme: str, matrix: Path | None) -> Conversion:
        base_key = self._source.digest or ""
        if self._source.format != "gguf":
            base_key = self._key(BASE_SCHEME)
        matrix_key = self._matrix.key_used(scheme)
        return self._mixer.measuring(
            self._base_path(), base_key, matrix=matrix, matrix_key=matrix_key
        )


def is_as_wide(made: Made, base: Made) -> bool:
    """Whether its weights take as many bits as before."""
    if made.bits_per_weight is None or base.bits_per_weight is None:
        return False
    return made.bits_per_weight >= base.bits_per_weight

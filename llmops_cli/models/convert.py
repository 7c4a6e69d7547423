"""The same weights in another format, made once and kept: GGUF, folders, CTranslate2, adapters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import Env, JobSpec
from llmops_cli.models.checked import Check, Direction, require_true, truth_of
from llmops_cli.models.converter import (
    CONVERTER_ENVIRONMENT,
    OFFICIAL,
    converter_folder,
    is_encoder,
    is_left_to_official,
)
from llmops_cli.models.notices import Notice
from llmops_cli.models.provenance import (
    Made,
    kept_model,
    note_check,
    record_beside,
    require_ours,
    whole_model,
    write_provenance,
)
from llmops_cli.models.truth import Outcome, Truth
from llmops_cli.models.truth_limits import DEQUANTIZED, FLOAT_SHARES
from llmops_cli.runtime.closure import cache_key, library_versions
from llmops_cli.runtime.contents import content_digest
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.env import ensure_env, find_env
from llmops_cli.runtime.files import locked, remove, size_of
from llmops_cli.runtime.job import JobResult
from llmops_cli.runtime.leftovers import remove_partials, run_in_cache
from llmops_cli.runtime.paths import cache_dir

BASE_SCHEME = "F16"
FLOAT_SCHEMES = tuple(FLOAT_SHARES)
"""GGUF types that are made from the Hugging Face model and lose little or nothing."""
DEQUANTIZE = "llamacpp.to_hf"
OFFLINE = {"HF_HUB_OFFLINE": "1"}
"""A folder is converted by what is in it."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """One model to be made by one program, and all that decides what comes out.

    `check`: how it is compared with its source; None for what is no model of its own. `notices`:
    what is known of the file that it is made from.
    """

    name: str
    program: str
    env: Env
    target: Path
    key: str
    input: Mapping[str, object]
    source: Artifact
    variables: Mapping[str, str] = {}
    check: Check | None = None
    notices: tuple[Notice, ...] = ()


def as_gguf(artifact: Artifact, *, progress: Progress) -> Artifact:
    """The model as a 16-bit GGUF file, converted once and kept in the cache."""
    target = quantized_dir(artifact) / f"{artifact.name}-{BASE_SCHEME}.gguf"
    conversion = gguf_conversion(artifact, target, BASE_SCHEME, progress=progress)
    return _converted(conversion, "gguf", progress=progress)


def as_hf(artifact: Artifact, *, progress: Progress) -> Artifact:
    """A GGUF file as a Hugging Face folder, dequantized once and kept in the cache.

    What its quantization lost stays lost. Raises: UsageError for a file without a way back.
    """
    conversion = hf_conversion(artifact, dequantized_path(artifact))
    return _converted(conversion, "hf", progress=progress)


def as_ct2(artifact: Artifact, *, progress: Progress) -> Artifact:
    """The model converted for CTranslate2, once, in the cache."""
    env = find_env("ctranslate2")
    program = "ct2.convert"
    key = cache_key("ct2", artifact.digest, program=program, env=env)
    conversion = Conversion(
        name="ct2-convert",
        program=program,
        env=env,
        target=cache_dir() / "ct2" / short(key),
        key=key,
        input={"model": artifact.path},
        source=artifact,
        check=Check(scheme="F32", format="ct2", env=env),
    )
    return _converted(conversion, "ct2", progress=progress)


def adapter_as_gguf(
    base: Artifact,
    folder: Path,
    *,
    progress: Progress,
) -> Path:
    """A PEFT adapter as llama.cpp reads it, converted once for each base model."""
    env = find_env("llamacpp")
    program = "llamacpp.lora"
    key = cache_key("lora", base.digest, content_digest(folder), program=program, env=env)
    conversion = Conversion(
        name="lora-convert",
        program=program,
        env=env,
        target=cache_dir() / "adapters" / f"{short(key)}.gguf",
        key=key,
        input={"base": base.path, "adapter": str(folder)},
        source=base,
    )
    convert(conversion, progress=progress)
    return conversion.target


def gguf_conversion(
    source: Artifact,
    target: Path,
    scheme: str,
    *,
    progress: Progress,
    beyond_window: bool = False,
) -> Conversion:
    """How a Hugging Face model becomes a GGUF file of F32, F16 or BF16.

    Architectures that our converter does not write are left to llama.cpp's own. `beyond_window`:
    its context is not cut to where llama.cpp computes what Transformers does.
    """
    if is_left_to_official(source):
        return _official_conversion(
            source, target, scheme, progress=progress, beyond_window=beyond_window
        )
    program = "llamacpp.convert"
    env = find_env("llamacpp")
    return Conversion(
        name="convert",
        program=program,
        env=env,
        target=target,
        key=cache_key("gguf", source.digest, scheme, beyond_window, program=program, env=env),
        input={"model": source.path, "scheme": scheme, "beyond_window": beyond_window},
        source=source,
        check=_check_of(source, scheme, beyond_window=beyond_window),
    )


def hf_conversion(source: Artifact, target: Path) -> Conversion:
    """How a GGUF file becomes a Hugging Face folder."""
    return Conversion(
        name="dequantize",
        program=DEQUANTIZE,
        env=find_env("llamacpp"),
        target=target,
        key=_dequantized_key(source),
        input={"model": source.path},
        source=source,
        check=Check(direction=Direction.TO_FOLDER, scheme=DEQUANTIZED, format="gguf"),
    )


def _official_conversion(
    source: Artifact,
    target: Path,
    scheme: str,
    *,
    progress: Progress,
    beyond_window: bool,
) -> Conversion:
    """The same by llama.cpp's own converter, whose environment and source are made if need be."""
    env = ensure_env(CONVERTER_ENVIRONMENT, progress=progress)
    program = "llamacpp.official"
    key = cache_key(
        "official",
        source.digest,
        scheme,
        beyond_window,
        OFFICIAL.digest,
        program=program,
        env=env,
    )
    return Conversion(
        name="convert",
        program=program,
        env=env,
        target=target,
        key=key,
        input={
            "model": source.path,
            "scheme": scheme,
            "beyond_window": beyond_window,
            "source": str(converter_folder(OFFICIAL, progress=progress)),
        },
        source=source,
        check=_check_of(source, scheme, beyond_window=beyond_window),
        variables=OFFLINE,
    )


def _check_of(
    source: Artifact,
    scheme: str,
    *,
    beyond_window: bool = False,
) -> Check:
    return Check(
        scheme=scheme,
        format="gguf",
        makes_vectors=is_encoder(source),
        beyond_window=beyond_window,
    )


def _converted(
    conversion: Conversion,
    model_format: str,
    *,
    progress: Progress,
) -> Artifact:
    """The same model in the other format, made unless it is there."""
    made = convert(conversion, progress=progress)
    return Artifact(
        reference=conversion.source.reference,
        format=model_format,
        path=str(conversion.target.resolve()),
        digest=made.digest,
        size_bytes=made.size_bytes,
    )


def convert(conversion: Conversion, *, progress: Progress) -> Made:
    """What the conversion makes, made now unless it is there and whole, and checked once.

    Raises: what its program raises; nothing half made stays. UsageError for a target that was not
    made here. EngineFailed for a copy that is not the model it was made from: it stays, marked.
    """
    check = conversion.check
    target = conversion.target
    finished = _finished(conversion)
    if finished is not None:
        _tell_notices(target, finished, progress)
        return finished
    with locked(target):
        require_ours(target, record_beside(target))
        made = kept_conversion(conversion, progress=progress)
        if made is None:
            made = _make(conversion, progress)
        _tell_notices(target, made, progress)
        if check is None:
            return made
        truth = confirmed(check, conversion.source, target, made, progress=progress)
    require_true(check, truth, target)
    return msgspec.structs.replace(made, check=truth)


def _finished(conversion: Conversion) -> Made | None:
    """What is whole and was found right, or need not be: nothing is left to write."""
    target = conversion.target
    made = whole_model(target, Made, key=conversion.key, record=record_beside(target))
    if made is None or conversion.check is None:
        return made
    found = made.check
    is_right = found is not None and found.is_settled and found.outcome is Outcome.PASSED
    return made if is_right else None


def _tell_notices(target: Path, made: Made, progress: Progress) -> None:
    for notice in made.notices:
        progress.warn(f"{target.name}: {notice.text}")


def confirmed(
    check: Check,
    source: Artifact,
    target: Path,
    made: Made,
    *,
    progress: Progress,
) -> Truth:
    """What its check found, then or now; kept beside it."""
    truth = truth_of(check, source, target, made, progress=progress)
    if truth != made.check:
        note_check(record_beside(target), truth)
    return truth


def kept_conversion(conversion: Conversion, *, progress: Progress) -> Made | None:
    """What was converted before; None if it must be made."""
    return kept_model(
        conversion.target,
        Made,
        key=conversion.key,
        record=record_beside(conversion.target),
        progress=progress,
    )


def _make(conversion: Conversion, progress: Progress) -> Made:
    target = conversion.target
    partial = target.with_name(f".{target.name}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_partials(target.parent)
    remove(partial)
    try:
        result = run_in_cache(
            JobSpec(
                name=conversion.name,
                python=conversion.env.python,
                program=conversion.program,
                input={**conversion.input, "output": str(partial)},
                env=dict(conversion.variables),
            ),
            name=f"{conversion.name}-{short(conversion.key)}",
            progress=progress,
        )
        made = _described(conversion, partial, result)
        write_provenance(
            record_beside(target), made
        )  # first: what is there without one is not ours
        remove(target)
        partial.rename(target)
    finally:
        remove(partial)
    return made


def _described(
    conversion: Conversion,
    partial: Path,
    result: JobResult,
) -> Made:
    """Its provenance; what the program did not tell stays unknown."""
    output = result.output
    bits_per_weight = None
    if "tensor_bytes" in output:
        bits_per_weight = output["tensor_bytes"] * 8 / output["parameters"]
    return Made(
        key=conversion.key,
        digest=digest_path(partial),
        size_bytes=size_of(partial),
        bits_per_weight=bits_per_weight,
        cpu_s=output.get("cpu_s", 0.0),
        wall_s=result.wall_s,
        peak_rss_bytes=output.get("peak_rss_bytes"),
        source=conversion.source.reference,
        source_digest=conversion.source.digest or "",
        versions=library_versions(conversion.program, conversion.env),
        calibration=output.get("calibration"),
        fallback_tensors=output.get("fallback_tensors", 0),
        left_out=output.get("left_out", {}),
        notices=[*conversion.notices, *msgspec.convert(output.get("notices", []), list[Notice])],
    )


def quantized_dir(artifact: Artifact) -> Path:
    """Where files made from this model are kept when the user names no folder."""
    return cache_dir() / "quantized" / short(artifact.digest or "sha256:unknown")


def dequantized_path(artifact: Artifact) -> Path:
    """Where the folder made of a GGUF file is kept when the user names none."""
    key = _dequantized_key(artifact)
    name = artifact.name.removesuffix(".gguf")
    return cache_dir() / "dequantized" / f"{name}-{short(key)}"


def _dequantized_key(artifact: Artifact) -> str:
    env = find_env("llamacpp")
    return cache_key("hf", artifact.digest, program=DEQUANTIZE, env=env)


def short(digest: str) -> str:
    """As much of a digest as a name of a file needs."""
    return digest.removeprefix("sha256:")[:12]

"""What is to be converted to what, by whom and where to. Nothing is made."""

from __future__ import annotations

from pathlib import Path

import msgspec

from llmops_cli.convert.recipe import ConvertRecipe
from llmops_cli.convert.report import ConvertPlan
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.models.convert import BASE_SCHEME, dequantized_path, quantized_dir
from llmops_cli.models.converter import CONVERTER_ENVIRONMENT, OFFICIAL, is_left_to_official
from llmops_cli.models.provenance import record_beside, require_ours
from llmops_cli.models.tensors import parameters_of
from llmops_cli.runtime.env import find_env

GGUF = "gguf"
FOLDER = "hf"
OTHER = {FOLDER: GGUF, GGUF: FOLDER}
OURS = "llmops"
OURS_ENVIRONMENT = "llamacpp"
GGUF_ENDING = ".gguf"
OTHER_ENDINGS = frozenset(
    (".bin", ".ggml", ".ggu", ".gguff", ".ckpt", ".onnx", ".pt", ".pth", ".safetensors", ".json")
)
"""Of models' files that convert does not write. A folder may be called `model-v1.5`."""
BYTES_OF = {"F16": 2, "BF16": 2, "F32": 4}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One conversion that is possible. `scheme` is None for a folder."""

    source: Artifact
    format: str
    scheme: str | None
    target: Path
    is_official: bool

    @property
    def converter(self) -> str:
        """Whose program writes it."""
        if self.is_official:
            return f"llama.cpp ({OFFICIAL.requirement})"
        return OURS


def task_of(recipe: ConvertRecipe, source: Artifact, *, output: Path | None) -> Task:
    """Raises: UsageError for what has no such conversion, or would overwrite what is not ours."""
    wanted = _format_of(recipe, source)
    scheme = _scheme_of(recipe, wanted)
    target = _target(source, wanted, scheme, output)
    _refuse_place(target, source, is_chosen=output is not None)
    if output is not None and not output.is_dir():
        _require_name(output, wanted)
    return Task(
        source=source,
        format=wanted,
        scheme=scheme,
        target=target,
        is_official=wanted == GGUF and is_left_to_official(source),
    )


def plan_of(task: Task) -> ConvertPlan:
    """`--dry-run`."""
    environment = CONVERTER_ENVIRONMENT if task.is_official else OURS_ENVIRONMENT
    return ConvertPlan(
        model=task.source.reference,
        source_format=task.source.format,
        format=task.format,
        scheme=task.scheme,
        path=str(task.target),
        converter=task.converter,
        environment=environment,
        environment_is_here=_is_here(environment),
        size_bytes=expected_bytes(task),
    )


def expected_bytes(task: Task) -> int | None:
    """By the parameters of a folder's safetensors files; None where there are none."""
    if task.scheme is None or task.source.path is None:
        return None
    parameters = parameters_of(Path(task.source.path))
    return parameters * BYTES_OF[task.scheme] or None


def _format_of(recipe: ConvertRecipe, source: Artifact) -> str:
    if source.format not in OTHER:
        raise UsageError(
            f"convert reads Hugging Face folders and GGUF files; {source.reference} is "
            f"{source.format}",
            hint="pass the model that it was made from",
        )
    wanted = recipe.to or OTHER[source.format]
    if wanted == source.format:
        raise UsageError(
            f"{source.reference} is {wanted} already",
            hint="llmops quantize makes smaller types of it",
        )
    return wanted


def _scheme_of(recipe: ConvertRecipe, wanted: str) -> str | None:
    """None for a folder. Raises: UsageError for what means nothing there."""
    if wanted == GGUF:
        return recipe.scheme or BASE_SCHEME
    told = {"--scheme": recipe.scheme, "--beyond-window": recipe.beyond_window}
    for name, value in told.items():
        if value:
            raise UsageError(
                f"{name} is of GGUF files, and a folder is made",
                hint="a folder's floats keep their type, other weights become F16",
            )
    return None


def _target(
    source: Artifact,
    wanted: str,
    scheme: str | None,
    output: Path | None,
) -> Path:
    """-o names a folder; for GGUF it may name the file too."""
    if wanted == FOLDER:
        return output or dequantized_path(source)
    name = f"{source.name}-{scheme}.gguf"
    if output is None:
        return quantized_dir(source) / name
    if output.suffix.lower() == GGUF_ENDING:
        return output
    return output / name


def _require_name(output: Path, wanted: str) -> None:
    """Raises: UsageError for a name that is a file's of another kind."""
    ending = output.suffix.lower()
    stem = output.with_suffix("")
    if wanted == FOLDER and ending in {GGUF_ENDING, *OTHER_ENDINGS}:
        raise UsageError(f"-o {output} is no name for a folder", hint=f"-o {stem}")
    if wanted == GGUF and ending in OTHER_ENDINGS:
        hint = f"-o {stem}{GGUF_ENDING}, or a folder: -o {stem}"
        raise UsageError(f"-o {output} is no name for a GGUF file", hint=hint)


def _refuse_place(target: Path, source: Artifact, *, is_chosen: bool) -> None:
    if source.path and target.resolve().is_relative_to(Path(source.path).resolve()):
        raise UsageError(f"{target} is inside the model that is read", hint="choose another -o")
    if is_chosen:
        require_ours(target, record_beside(target))


def _is_here(environment: str) -> bool:
    try:
        find_env(environment)
    except EnvironmentMissing:
        return False
    return True

"""`llmops convert`: makes the file or the folder once, and keeps it."""

from __future__ import annotations

import msgspec

from llmops_cli.convert.plan import GGUF, Task, expected_bytes
from llmops_cli.convert.recipe import ConvertRecipe
from llmops_cli.convert.report import ConvertReport
from llmops_cli.core.progress import Progress
from llmops_cli.engines import engines_for
from llmops_cli.models.checked import NO_CHECK
from llmops_cli.models.convert import (
    Conversion,
    convert,
    gguf_conversion,
    hf_conversion,
    kept_conversion,
)
from llmops_cli.models.truth import FaultKind, Truth
from llmops_cli.runtime.files import make_folder, require_space
from llmops_cli.runtime.manifest import RunClock


def convert_model(
    recipe: ConvertRecipe,
    origins: dict[str, str],
    task: Task,
    *,
    progress: Progress,
) -> ConvertReport:
    """The model in its other format, made unless it is there.

    Raises: UsageError for a model that cannot be converted, with what is in the way;
    EnvironmentMissing for too little space or an environment that cannot be made; EngineFailed if
    the converter dies. Nothing half made stays. What is wrong with it is `failure_of` its report.
    """
    clock = RunClock()
    make_folder(task.target.parent)
    plain = _conversion(recipe, task, progress)
    conversion = _checked(plain, wants_check=recipe.check)
    is_kept = kept_conversion(conversion, progress=progress) is not None
    if not is_kept:
        _require_room(task)
    made = convert(conversion, progress=progress)
    manifest = clock.manifest(
        recipe,
        origins,
        versions=made.versions,
        digests={"model": task.source.digest or ""},
    )
    return ConvertReport(
        manifest=manifest,
        source_format=task.source.format,
        format=task.format,
        scheme=task.scheme,
        path=str(task.target.resolve()),
        converter=task.converter,
        size_bytes=made.size_bytes,
        bits_per_weight=made.bits_per_weight,
        digest=made.digest,
        left_out=made.left_out,
        check=made.check,
        notices=made.notices,
        loads_in=engines_that_load(task.format, made.check),
        cpu_s=made.cpu_s,
        wall_s=made.wall_s,
        peak_rss_bytes=made.peak_rss_bytes,
        reused=is_kept,
    )


def engines_that_load(format_: str, check: Truth | None) -> list[str]:
    """None for a copy that was tried and did not load."""
    if check is not None and any(fault.kind is FaultKind.NOT_LOADED for fault in check.faults):
        return []
    return engines_for(format_)


def _conversion(
    recipe: ConvertRecipe,
    task: Task,
    progress: Progress,
) -> Conversion:
    if task.format == GGUF and task.scheme is not None:
        return gguf_conversion(
            task.source,
            task.target,
            task.scheme,
            progress=progress,
            beyond_window=recipe.beyond_window,
        )
    return hf_conversion(task.source, task.target)


def _checked(conversion: Conversion, *, wants_check: bool) -> Conversion:
    """What its check finds stands in the report, and ends the command after that."""
    assert conversion.check is not None
    left_out = conversion.check.left_out
    if not wants_check:
        left_out = NO_CHECK
    check = msgspec.structs.replace(conversion.check, is_strict=False, left_out=left_out)
    return msgspec.structs.replace(conversion, check=check)


def _require_room(task: Task) -> None:
    needed_bytes = expected_bytes(task)
    if needed_bytes:
        what = f"{task.source.reference} as {task.scheme}"
        require_space(task.target.parent, needed_bytes, what=what)

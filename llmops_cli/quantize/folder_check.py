"""The check of a quantized folder: by the quality that was measured of it, else by its own job."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.spec import Env
from llmops_cli.models.checked import NO_CHECK, Check, truth_of
from llmops_cli.models.compared import Copy, judged
from llmops_cli.models.tensors import tensors_of
from llmops_cli.models.truth import Fault, FaultKind, Truth, unchecked, with_fault
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.quantize.tensor_names import names_beside
from llmops_cli.quantize.variants import Variant
from llmops_cli.runtime.job import Json

WIDE = frozenset({"F64", "F32", "F16", "BF16"})
WHOLE = 16
"""Bits from which on a method leaves the weights as they are."""


def truth_of_figures(
    task: QuantizeTask,
    variant: Variant,
    path: Path,
    figures: Json,
) -> Truth:
    """By what the quality job found, which loaded the folder as a user would."""
    if not task.recipe.check:
        return unchecked(NO_CHECK)
    copy = Copy(
        original=task.source,
        path=path,
        format=variant.spec.format,
        scheme=variant.scheme,
        bits=variant.bits,
    )
    reference = f"transformers {figures['transformers']}"
    truth = judged(copy, figures, reference=reference)
    return with_tensors_seen(truth, task, variant, path)


def truth_of_folder(
    task: QuantizeTask,
    variant: Variant,
    path: Path,
    provenance: Provenance,
    env: Env,
) -> Truth:
    """By a job of its own, where quality was not asked for."""
    check = Check(
        scheme=variant.scheme,
        format=variant.spec.format,
        bits=variant.bits,
        env=env,
        is_strict=False,
        left_out="" if task.recipe.check else NO_CHECK,
    )
    found = truth_of(check, task.source, path, provenance, progress=task.progress)
    return found if check.left_out else with_tensors_seen(found, task, variant, path)


def with_tensors_seen(
    truth: Truth,
    task: QuantizeTask,
    variant: Variant,
    path: Path,
) -> Truth:
    """Marks a folder none of whose tensors is narrower than before, or that has others."""
    known = {fault.kind for fault in truth.faults}
    for fault in (*_nothing_quantized(variant, path), *_other_tensors(task.source_path, path)):
        if fault.kind not in known:
            truth = with_fault(truth, fault.kind, fault.text)
    return truth


def _nothing_quantized(variant: Variant, path: Path) -> list[Fault]:
    kinds = {tensor.dtype for tensor in tensors_of(path)}
    if variant.bits >= WHOLE or not kinds or not kinds <= WIDE:
        return []
    text = f"no tensor of it is quantized: all are {', '.join(sorted(kinds))}"
    return [Fault(kind=FaultKind.NOTHING_QUANTIZED, text=text)]


def _other_tensors(original: Path, path: Path) -> list[Fault]:
    names = names_beside(original, path)
    if names is None:
        return []
    told = []
    if names.missing:
        told.append(f"lacks {len(names.missing)} of the original's, such as {names.missing[0]}")
    if names.unexpected:
        told.append(f"has {len(names.unexpected)} of its own, such as {names.unexpected[0]}")
    if not told:
        return []
    return [Fault(kind=FaultKind.OTHER_TENSORS, text=f"of modules it {' and '.join(told)}")]

"""The check of a quantized folder: by the quality that was measured of it, else by its own job."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.spec import Env
from llmops_cli.models.checked import NO_CHECK, Check, truth_of
from llmops_cli.models.compared import Copy, judged
from llmops_cli.models.tensors import tensors_of
from llmops_cli.models.truth import FaultKind, Truth, unchecked, with_fault
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.task import QuantizeTask
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
    return with_nothing_quantized(judged(copy, figures, reference=reference), variant, path)


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
    return found if check.left_out else with_nothing_quantized(found, variant, path)


def with_nothing_quantized(truth: Truth, variant: Variant, path: Path) -> Truth:
    """Marks a folder all of whose tensors are as wide as before."""
    kinds = {tensor.dtype for tensor in tensors_of(path)}
    if variant.bits >= WHOLE or not kinds or not kinds <= WIDE:
        return truth
    if any(fault.kind is FaultKind.NOTHING_QUANTIZED for fault in truth.faults):
        return truth
    text = f"no tensor of it is quantized: all are {', '.join(sorted(kinds))}"
    return with_fault(truth, FaultKind.NOTHING_QUANTIZED, text)

"""Which matrices of a model are to be quantized, settled from its shapes before it is loaded."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from _shared.protocol import JobError, Json
from hf.matrices import Matrix, MatrixKind, is_ignored, matrices_of, output_name, routers_of

REACHES = {
    "llmcompressor": {MatrixKind.LINEAR, MatrixKind.EXPERTS},
    "bitsandbytes": {MatrixKind.LINEAR, MatrixKind.CONV1D},
}
"""What a library quantizes in a way that Transformers loads again."""
USUAL_REACH = {MatrixKind.LINEAR}
INSTEAD = {
    MatrixKind.EXPERTS: "--method gguf, or int4, gptq, awq, int8 and fp8 by --engine llmcompressor",
    MatrixKind.CONV1D: "--method gguf, nf4, or int8 by --engine bitsandbytes or ctranslate2",
}
FEWEST_IN_GROUP = 8
SERVED_GROUPS = (128, 64, 32)
"""Groups for which every engine has kernels (vLLM: marlin_utils.MARLIN_SUPPORTED_GROUP_SIZES)."""
MOST_SIZES_TOLD = 6
FP8_BLOCK = "FP8_BLOCK"
BLOCK = 128
"""Rows and columns of a block of that scheme."""
KV_CACHE = "kv-cache"
"""The method that leaves weights as they are."""


@dataclass(frozen=True)
class Plan:
    """`kept` are the layers that stay: the output matrix, routers, and those that are ignored."""

    matrices: list[Matrix]
    kept: list[str]

    @property
    def weights(self) -> int:
        return sum(matrix.weights for matrix in self.matrices)

    @property
    def has_experts(self) -> bool:
        return any(matrix.kind is MatrixKind.EXPERTS for matrix in self.matrices)


def plan_of(model: Any, job: Json) -> Plan:
    """What the job is to change in a model, which may be one of shapes alone.

    Raises: JobError for matrices that its library would leave as they are, for groups that do not
    fit, and for a name to ignore that no matrix has.
    """
    matrices = matrices_of(model)
    ignored = job["ignore"]
    _require_known(ignored, [matrix.name for matrix in matrices], model)
    kept = [name for name in (output_name(model), *routers_of(model)) if name]
    chosen = []
    for matrix in matrices:
        if is_ignored(matrix.name, ignored):
            kept.append(matrix.name)
        else:
            chosen.append(matrix)
    plan = Plan(chosen, kept)
    if job["method"] != KV_CACHE:
        _require_reach(plan, model, job["quantizer"])
        _require_groups(plan.matrices, job["group_size"])
        if job["scheme"] == FP8_BLOCK:
            _require_blocks(plan.matrices)
    return plan


def _require_known(
    ignored: Sequence[str],
    names: Sequence[str],
    model: Any,
) -> None:
    known = [*names, *routers_of(model), output_name(model)]
    for pattern in ignored:
        is_usual = pattern == "lm_head"
        if not is_usual and not any(is_ignored(name, [pattern]) for name in known):
            example = names[0] if names else "none"
            raise JobError(
                "UsageError",
                f"--ignore {pattern} names no layer of {type(model).__name__}",
                f"layers are called like {example}",
            )


def _require_reach(
    plan: Plan,
    model: Any,
    quantizer: str,
) -> None:
    architecture = type(model).__name__
    if not plan.weights:
        raise JobError("UsageError", f"nothing of {architecture} is left to quantize")
    reach = REACHES.get(quantizer, USUAL_REACH)
    weights: Counter[MatrixKind] = Counter()
    for matrix in plan.matrices:
        weights[_kind_when_loaded(matrix)] += matrix.weights
    for kind, count in weights.items():
        if kind not in reach:
            share = count / plan.weights
            raise JobError(
                "UsageError",
                f"{quantizer} makes nothing that Transformers loads of the {kind} of "
                f"{architecture}, {share:.0%} of its weights",
                INSTEAD[kind],
            )


def _kind_when_loaded(matrix: Matrix) -> MatrixKind:
    """Releases of Transformers before 5, where some libraries run, keep experts as layers."""
    is_one_of_experts = ".experts." in matrix.name
    return MatrixKind.EXPERTS if is_one_of_experts else matrix.kind


def _require_groups(matrices: Sequence[Matrix], group_size: int) -> None:
    if group_size <= 0:
        return
    for matrix in matrices:
        if matrix.columns % group_size:
            columns = math.gcd(*(each.columns for each in matrices))
            raise JobError(
                "UsageError",
                f"groups of {group_size} do not divide the {matrix.columns} columns of "
                f"{matrix.name}",
                f"--group-size {fitting_groups(columns)} or -1 (whole rows)",
            )


def _require_blocks(matrices: Sequence[Matrix]) -> None:
    for matrix in matrices:
        if matrix.columns % BLOCK or matrix.rows % BLOCK:
            raise JobError(
                "UsageError",
                f"blocks of {BLOCK} do not divide {matrix.name}, {matrix.rows} x {matrix.columns}",
                "--scheme dynamic",
            )


def fitting_groups(columns: int) -> str:
    """Sizes that divide all matrices: those that engines serve, then the largest."""
    sizes = []
    for size in range(columns, 0, -1):
        is_told = size >= FEWEST_IN_GROUP or size == columns
        if columns % size == 0 and is_told:
            sizes.append(size)
    sizes.sort(key=lambda size: size not in SERVED_GROUPS)
    return ", ".join(map(str, sizes[:MOST_SIZES_TOLD]))

"""llm-compressor: integers, floating point and KV-cache scales, with or without preparations."""

from typing import Any

from _shared.protocol import Events, JobError, Json, run_worker
from hf.matrices import MatrixKind, matrices_of
from quantize.experts import (
    ExpertNames,
    expert_group,
    expert_names,
    kept_otherwise,
    name_as_on_disk,
)
from quantize.quantizing import QuantizeJob, quantize_with
from quantize.rotation import rotate

PRESETS = frozenset(
    {
        "FP8",
        "FP8_DYNAMIC",
        "FP8_BLOCK",
        "W8A8",
        "NVFP4",
        "NVFP4A16",
        "MXFP4",
        "MXFP4A16",
    }
)
COMPENSATED = ("awq", "gptq", "smoothquant", "spinquant")
"""Methods whose rounding errors are made up for by the columns that follow."""
ABLE_WITH_EXPERTS = ("int4", "gptq", "awq", "int8", "smoothquant", "fp8")


def weights_of(job: Json) -> Any:
    from compressed_tensors.quantization import QuantizationArgs

    group = job["group_size"]
    is_grouped = group > 0
    return QuantizationArgs(
        num_bits=job["bits"],
        type="int",
        symmetric=job["symmetric"],
        dynamic=False,
        strategy="group" if is_grouped else "channel",
        group_size=group if is_grouped else None,
    )


def groups_of(job: Json, *, has_experts: bool) -> dict[str, Any]:
    """`config_groups` of a scheme; that of experts, if there are any, is their own."""
    groups = {"group_0": linear_group(job)}
    if has_experts:
        groups["group_1"] = expert_group(job)
    return groups


def linear_group(job: Json) -> Any:
    """Integer weights alone, or with activations."""
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationScheme,
        preset_name_to_scheme,
    )

    scheme = job["scheme"]
    if scheme in PRESETS:
        return preset_name_to_scheme(scheme, ["Linear"])
    activations = None
    if scheme.endswith("A8"):
        activations = QuantizationArgs(
            num_bits=8, type="int", strategy="token", dynamic=True, symmetric=True
        )
    return QuantizationScheme(
        targets=["Linear"], weights=weights_of(job), input_activations=activations
    )


def modifiers_of(work: QuantizeJob) -> list[Any]:
    """The steps of a method, in order."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    job = work.job
    method = job["method"]
    if method == "kv-cache":
        cache = kv_cache_scheme(job["scheme"])
        return [QuantizationModifier(kv_cache_scheme=cache)]
    groups = groups_of(job, has_experts=work.plan.has_experts)
    ignore = work.plan.kept
    if method not in COMPENSATED:
        plain = QuantizationModifier(config_groups=groups, ignore=ignore)
        return [plain]
    gptq = GPTQModifier(config_groups=groups, ignore=ignore)
    return [*preparations_of(method), gptq]


def preparations_of(method: str) -> list[Any]:
    """What changes the weights before they are rounded, with the model's answers as they were."""
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    if method == "awq":
        # scales alone gain little on models without outliers; compensating errors always does
        return [AWQModifier(duo_scaling=True)]
    if method == "smoothquant":
        return [SmoothQuantModifier(smoothing_strength=0.8)]
    return []


def kv_cache_scheme(scheme: str) -> dict[str, Any]:
    return {
        "num_bits": 8,
        "type": "int" if scheme == "INT8" else "float",
        "strategy": "tensor",
        "dynamic": False,
        "symmetric": True,
    }


def calibration_options(work: QuantizeJob) -> dict[str, Any]:
    """Arguments of `oneshot` for methods that look at activations."""
    from datasets import Dataset

    job = work.job
    if not job["calibrated"]:
        return {}
    windows = work.calibration.windows
    masks = [[1] * len(window) for window in windows]
    columns = {"input_ids": windows, "attention_mask": masks}
    return {
        "dataset": Dataset.from_dict(columns),
        "num_calibration_samples": len(windows),
        "max_seq_length": job["seq_len"],
        "shuffle_calibration_samples": False,
    }


def names_of_experts(work: QuantizeJob) -> ExpertNames | None:
    """How they are to be called on disk; None if there are none.

    Raises: JobError for what Transformers could not load.
    """
    if not any(matrix.kind is MatrixKind.EXPERTS for matrix in matrices_of(work.outline)):
        return None
    if work.job["method"] not in ABLE_WITH_EXPERTS:
        able = ", ".join(ABLE_WITH_EXPERTS)
        message = f"{work.job['method']} of fused experts makes nothing that Transformers loads"
        raise JobError("UsageError", message, f"--method {able} or gguf")
    for name in work.plan.kept:
        if ".experts." in name:
            message = f"--ignore leaves {name} as it is: Transformers merges all experts or none"
            raise JobError("UsageError", message, "ignore layers that are no experts")
    told = kept_otherwise(work.job)
    if told:
        work.notes.append(told)
    return expert_names(work.outline)


def avoid_pinned_memory() -> None:
    """Pinning needs an accelerator's driver, and is asked for without one too."""
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    def no_pinning(*_args: Any, **_kwargs: Any) -> None:
        return None

    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = no_pinning


def apply(work: QuantizeJob) -> None:
    from llmcompressor import oneshot

    avoid_pinned_memory()
    names = names_of_experts(work)
    options = calibration_options(work)
    if work.job["method"] == "spinquant":
        rotate(work)
    oneshot(
        model=work.model,
        recipe=modifiers_of(work),
        tokenizer=work.tokenizer,
        **options,
    )
    work.as_stored()
    if names is not None:
        name_as_on_disk(work.model, names)
    work.model.save_pretrained(work.output, save_compressed=True)


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library="llm-compressor")


if __name__ == "__main__":
    run_worker(work)

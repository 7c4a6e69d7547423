"""llm-compressor: integers, floating point and KV-cache scales, with or without preparations."""

from typing import Any

from _shared.protocol import Events, JobError, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with
from quantize.rotation import rotate

ROUTERS = ("re:.*[.]gate$", "re:.*router.*", "re:.*shared_expert_gate$")
"""Small matrices that choose experts: quantizing them saves nothing and costs much."""
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


def groups_of(job: Json) -> dict[str, Any]:
    """`config_groups` of a scheme: integer weights alone, or with activations."""
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationScheme,
        preset_name_to_scheme,
    )

    scheme = job["scheme"]
    if scheme in PRESETS:
        preset = preset_name_to_scheme(scheme, ["Linear"])
        return {"group_0": preset}
    activations = None
    if scheme.endswith("A8"):
        activations = QuantizationArgs(
            num_bits=8, type="int", strategy="token", dynamic=True, symmetric=True
        )
    group = QuantizationScheme(
        targets=["Linear"], weights=weights_of(job), input_activations=activations
    )
    return {"group_0": group}


def modifiers_of(job: Json) -> list[Any]:
    """The steps of a method, in order."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier

    method = job["method"]
    if method == "kv-cache":
        cache = kv_cache_scheme(job["scheme"])
        return [QuantizationModifier(kv_cache_scheme=cache)]
    groups = groups_of(job)
    ignore = [*job["ignore"], *ROUTERS]
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


def check_group_size(model: Any, job: Json) -> None:
    """Raises: JobError if a matrix that is to be quantized has fewer columns than a group."""
    import torch

    columns = []
    for name, module in model.named_modules():
        is_linear = isinstance(module, torch.nn.Linear)
        if is_linear and not is_skipped(name, job["ignore"]):
            columns.append(module.in_features)
    fewest = min(columns, default=0)
    if 0 < fewest < job["group_size"]:
        message = f"a matrix has only {fewest} columns"
        raise JobError("UsageError", message, f"--group-size {fewest} or smaller")


def is_skipped(name: str, ignore: list[str]) -> bool:
    return any(part in name for part in ignore)


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
    options = calibration_options(work)
    check_group_size(work.model, work.job)
    if work.job["method"] == "spinquant":
        rotate(work)
    oneshot(
        model=work.model,
        recipe=modifiers_of(work.job),
        tokenizer=work.tokenizer,
        **options,
    )
    work.as_stored()
    work.model.save_pretrained(work.output, save_compressed=True)


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library="llm-compressor")


if __name__ == "__main__":
    run_worker(work)

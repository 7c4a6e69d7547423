"""llm-compressor: awq, gptq, smoothquant, fp8, int8, int4 and KV-cache scales.

Saved as compressed-tensors.
"""

from typing import Any

from _shared.protocol import Events, JobError, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with

ROUTERS = ("re:.*[.]gate$", "re:.*router.*", "re:.*shared_expert_gate$")
"""Small matrices that choose experts: quantizing them saves nothing and costs much."""
PRESETS = ("FP8", "FP8_DYNAMIC", "FP8_BLOCK", "W8A8")
CALIBRATED_METHODS = ("awq", "gptq", "smoothquant", "kv-cache")


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
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    method = job["method"]
    if method == "kv-cache":
        cache = kv_cache_scheme(job["scheme"])
        return [QuantizationModifier(kv_cache_scheme=cache)]
    groups = groups_of(job)
    ignore = [*job["ignore"], *ROUTERS]
    if method not in ("awq", "gptq", "smoothquant"):
        plain = QuantizationModifier(config_groups=groups, ignore=ignore)
        return [plain]
    gptq = GPTQModifier(config_groups=groups, ignore=ignore)
    if method == "awq":
        # scales alone gain little on models without outliers; compensating errors always does
        scales = AWQModifier(duo_scaling=True)
        return [scales, gptq]
    if method == "smoothquant":
        smoothing = SmoothQuantModifier(smoothing_strength=0.8)
        return [smoothing, gptq]
    return [gptq]


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
    is_calibrated = job["method"] in CALIBRATED_METHODS
    if not is_calibrated and job["scheme"] != "FP8":
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

"""llm-compressor: awq, gptq, smoothquant, fp8, int8, int4 and KV-cache scales, as
compressed-tensors.
"""

from typing import Any

from _shared.protocol import Events, JobError, run_worker
from quantize.quantizing import Quantizing, quantize_with, show_progress

ROUTERS = ("re:.*[.]gate$", "re:.*router.*", "re:.*shared_expert_gate$")
"""Small matrices that choose experts: quantizing them saves nothing and costs much."""


def weights_of(job: dict[str, Any]) -> Any:
    from compressed_tensors.quantization import QuantizationArgs

    group = job["group_size"]
    return QuantizationArgs(
        num_bits=job["bits"],
        type="int",
        symmetric=job["symmetric"],
        dynamic=False,
        strategy="group" if group > 0 else "channel",
        group_size=group if group > 0 else None,
    )


def groups_of(job: dict[str, Any]) -> dict[str, Any]:
    """`config_groups` of a scheme: integer weights alone, or with activations."""
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationScheme,
        preset_name_to_scheme,
    )

    if job["scheme"] in ("FP8", "FP8_DYNAMIC", "FP8_BLOCK", "W8A8"):
        return {"group_0": preset_name_to_scheme(job["scheme"], ["Linear"])}
    activations = None
    if job["scheme"].endswith("A8"):
        activations = QuantizationArgs(
            num_bits=8, type="int", strategy="token", dynamic=True, symmetric=True
        )
    return {
        "group_0": QuantizationScheme(
            targets=["Linear"], weights=weights_of(job), input_activations=activations
        )
    }


def modifiers_of(job: dict[str, Any]) -> list[Any]:
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

    method = job["method"]
    ignore = [*job["ignore"], *ROUTERS]
    if method == "kv-cache":
        scheme = {
            "num_bits": 8,
            "type": "int" if job["scheme"] == "INT8" else "float",
            "strategy": "tensor",
            "dynamic": False,
            "symmetric": True,
        }
        return [QuantizationModifier(kv_cache_scheme=scheme)]
    rounding = QuantizationModifier(config_groups=groups_of(job), ignore=ignore)
    gptq = GPTQModifier(config_groups=groups_of(job), ignore=ignore)
    if (
        method == "awq"
    ):  # scales alone gain little on models without outliers; compensating errors always does
        return [AWQModifier(duo_scaling=True), gptq]
    if method == "gptq":
        return [gptq]
    if method == "smoothquant":
        return [SmoothQuantModifier(smoothing_strength=0.8), gptq]
    return [rounding]


def apply(work: Quantizing) -> None:
    import torch
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.pipelines.cache import IntermediatesCache

    job = work.job
    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = lambda *_args, **_kwargs: (
            None
        )  # it needs an accelerator's driver
    calibrated = (
        job["method"] in ("awq", "gptq", "smoothquant", "kv-cache") or job["scheme"] == "FP8"
    )
    more: dict[str, Any] = {}
    if calibrated:
        windows = work.calibration.windows
        more = {
            "dataset": Dataset.from_dict(
                {"input_ids": windows, "attention_mask": [[1] * len(w) for w in windows]}
            ),
            "num_calibration_samples": len(windows),
            "max_seq_length": job["seq_len"],
            "shuffle_calibration_samples": False,
        }
    model = work.model
    limit = min(
        (
            module.in_features
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
            and not any(skip in name for skip in job["ignore"])
        ),
        default=0,
    )
    if 0 < limit < job["group_size"]:
        raise JobError(
            "UsageError", f"a matrix has only {limit} columns", f"--group-size {limit} or smaller"
        )
    oneshot(model=model, recipe=modifiers_of(job), tokenizer=work.tokenizer, **more)
    work.as_stored()
    model.save_pretrained(work.output, save_compressed=True)


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    show_progress(events)
    return quantize_with(apply, job, events, library="llm-compressor")


if __name__ == "__main__":
    run_worker(work)

"""Quantizers that Transformers applies while it loads: bitsandbytes and torchao."""

from typing import Any

from _shared.protocol import Events, run_worker
from quantize.quantizing import Quantizing, quantize_with, show_progress


def config_of(job: dict[str, Any]) -> Any:
    import torch
    from transformers import BitsAndBytesConfig, TorchAoConfig

    kept = [name.removeprefix("re:") for name in job["ignore"]]  # they read every name as a pattern
    if job["quantizer"] == "bitsandbytes":
        if job["method"] == "nf4":
            return BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
                llm_int8_skip_modules=kept,
            )
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=kept)
    from torchao.quantization import Int4WeightOnlyConfig, Int8DynamicActivationInt8WeightConfig

    if job["bits"] == 8:
        return TorchAoConfig(Int8DynamicActivationInt8WeightConfig(), modules_to_not_convert=kept)
    return TorchAoConfig(
        Int4WeightOnlyConfig(group_size=job["group_size"]), modules_to_not_convert=kept
    )


def apply(work: Quantizing) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        work.source,
        dtype=torch.bfloat16,
        trust_remote_code=False,
        quantization_config=config_of(work.job),
        device_map="cuda" if torch.cuda.is_available() else "cpu",
    )
    model.save_pretrained(work.output)


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    show_progress(events)
    return quantize_with(apply, job, events, library=job["quantizer"])


if __name__ == "__main__":
    run_worker(work)

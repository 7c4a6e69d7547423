"""Quantizers that Transformers applies while it loads: bitsandbytes and torchao."""

import re
from collections.abc import Sequence
from typing import Any

from _shared.protocol import Events, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with


def config_of(job: Json, kept: Sequence[str]) -> Any:
    """What Transformers is told; it reads every name to leave out as a pattern's beginning."""
    ignored = [rf"{re.escape(name)}\b" for name in kept]
    if job["quantizer"] == "bitsandbytes":
        return _bitsandbytes_config(job["method"], ignored)
    return _torchao_config(job, ignored)


def _bitsandbytes_config(method: str, ignored: list[str]) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    make: Any = BitsAndBytesConfig  # its constructor has no types
    if method != "nf4":
        return make(load_in_8bit=True, llm_int8_skip_modules=ignored)
    return make(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=ignored,
    )


def _torchao_config(job: Json, ignored: list[str]) -> Any:
    from torchao.quantization import Int4WeightOnlyConfig, Int8DynamicActivationInt8WeightConfig
    from transformers import TorchAoConfig

    if job["bits"] == 8:
        scheme: Any = Int8DynamicActivationInt8WeightConfig()
    else:
        scheme = Int4WeightOnlyConfig(group_size=job["group_size"])
    return TorchAoConfig(scheme, modules_to_not_convert=ignored)


def apply(work: QuantizeJob) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(
        work.source,
        dtype=torch.bfloat16,
        trust_remote_code=False,
        quantization_config=config_of(work.job, work.plan.kept),
        device_map=device,
    )
    model.save_pretrained(work.output)


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library=job["quantizer"])


if __name__ == "__main__":
    run_worker(work)

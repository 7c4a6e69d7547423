"""AutoGPTQ, for those who need files of exactly that library. It quantizes on an NVIDIA GPU only;
untested by us.
"""

from typing import Any

from _shared.protocol import Events, run_worker
from quantize.quantizing import Quantizing, quantize_with, show_progress


def apply(work: Quantizing) -> None:
    import torch
    from auto_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig

    job = work.job
    config = BaseQuantizeConfig(
        bits=job["bits"],
        group_size=job["group_size"],
        sym=job["symmetric"],
        desc_act=False,
        model_file_base_name="model",
    )
    model: Any = AutoGPTQForCausalLM.from_pretrained(
        str(work.source), config, trust_remote_code=False
    )
    windows = [
        {"input_ids": torch.tensor([w]), "attention_mask": torch.ones(1, len(w), dtype=torch.long)}
        for w in work.calibration.windows
    ]
    model.quantize(windows)
    model.save_quantized(str(work.output), use_safetensors=True)


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    show_progress(events)
    return quantize_with(apply, job, events, library="AutoGPTQ")


if __name__ == "__main__":
    run_worker(work)

"""AutoGPTQ, for those who need files of exactly that library.

It quantizes on an NVIDIA GPU only; untested by us.
"""

from typing import Any

from _shared.protocol import Events, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with


def apply(work: QuantizeJob) -> None:
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
    samples = []
    for window in work.calibration.windows:
        ids_BT = torch.tensor([window])
        mask_BT = torch.ones_like(ids_BT)
        sample = {"input_ids": ids_BT, "attention_mask": mask_BT}
        samples.append(sample)
    model.quantize(samples)
    model.save_quantized(str(work.output), use_safetensors=True)


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library="AutoGPTQ")


if __name__ == "__main__":
    run_worker(work)

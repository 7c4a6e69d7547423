"""GPTQModel: GPTQ in its own format, and AWQ on a GPU."""

import os
from typing import Any

os.environ.setdefault(
    "GPTQMODEL_CPU_WORKERS", str(max(2, os.cpu_count() or 2))
)  # it raises on two cores otherwise

from _shared.protocol import Events, JobError, run_worker
from quantize.quantizing import Quantizing, quantize_with, show_progress


def apply(work: Quantizing) -> None:
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    job = work.job
    if job["method"] == "awq" and not torch.cuda.is_available():
        raise JobError(
            "EnvironmentMissing", "GPTQModel's AWQ needs an NVIDIA GPU", "--engine llmcompressor"
        )
    method = (
        {"quant_method": "awq", "format": "gemm"}
        if job["method"] == "awq"
        else {"act_group_aware": True}
    )
    config = QuantizeConfig(
        bits=job["bits"],
        group_size=job["group_size"],
        sym=job["symmetric"],
        desc_act=False,
        device="cuda:0" if torch.cuda.is_available() else "cpu",
        **method,
    )
    windows = [{"input_ids": w, "attention_mask": [1] * len(w)} for w in work.calibration.windows]
    model: Any = GPTQModel.load(str(work.source), config, trust_remote_code=False)
    model.quantize(windows, batch_size=1)
    model.save(str(work.output))


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    show_progress(events)
    return quantize_with(apply, job, events, library="GPTQModel")


if __name__ == "__main__":
    run_worker(work)

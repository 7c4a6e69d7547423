"""GPTQModel: GPTQ in its own format, and AWQ on a GPU."""

import os
import re
from typing import Any

from _shared.protocol import Events, JobError, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with

LEAST_WORKERS = 2
"""It raises with fewer when it is imported."""


def apply(work: QuantizeJob) -> None:
    cores = os.cpu_count() or 0
    cpu_workers = max(LEAST_WORKERS, cores)
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(cpu_workers))
    import torch
    from gptqmodel import GPTQModel, QuantizeConfig

    job = work.job
    has_gpu = torch.cuda.is_available()
    if job["method"] == "awq" and not has_gpu:
        message = "GPTQModel's AWQ needs an NVIDIA GPU"
        raise JobError("EnvironmentMissing", message, "--engine llmcompressor")
    config = QuantizeConfig(
        bits=job["bits"],
        group_size=job["group_size"],
        sym=job["symmetric"],
        desc_act=False,
        device="cuda:0" if has_gpu else "cpu",
        dynamic={rf"-:^{re.escape(name)}$": {} for name in work.plan.kept},
        **method_options(job["method"]),
    )
    samples = []
    for window in work.calibration.windows:
        mask = [1] * len(window)
        sample = {"input_ids": window, "attention_mask": mask}
        samples.append(sample)
    model: Any = GPTQModel.load(str(work.source), config, trust_remote_code=False)
    model.quantize(samples, batch_size=1)
    model.save(str(work.output))


def method_options(method: str) -> dict[str, Any]:
    if method == "awq":
        return {"quant_method": "awq", "format": "gemm"}
    return {"act_group_aware": True}


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library="GPTQModel")


if __name__ == "__main__":
    run_worker(work)

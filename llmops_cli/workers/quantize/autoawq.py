"""AutoAWQ, which is no longer developed: AWQ in its own format.

It runs on the Transformers that it was last tested with.
"""

from pathlib import Path
from typing import Any

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from _shared.protocol import Events, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with
from quantize.release4 import folder_for_release4, require_known, restore_config, store_as

PARALLEL_SAMPLES = 8


def apply(work: QuantizeJob) -> None:
    model = load(work)
    windows = work.calibration.windows
    # all windows, and none longer than it takes: it drops longer ones without a word
    model.quantize(
        work.tokenizer,
        calib_data=windows,
        max_calib_samples=len(windows),
        max_calib_seq_len=work.job["seq_len"],
        n_parallel_calib_samples=PARALLEL_SAMPLES,
        quant_config={
            "zero_point": True,
            "q_group_size": work.job["group_size"],
            "w_bit": 4,
            "version": "GEMM",
        },
    )
    store_as(model.model, work.source)
    model.save_quantized(str(work.output))
    restore_config(work.source, work.output)


def load(work: QuantizeJob) -> Any:
    import torch
    from awq import AutoAWQForCausalLM
    from awq.models.auto import AWQ_CAUSAL_LM_MODEL_MAP

    require_known(work.source, AWQ_CAUSAL_LM_MODEL_MAP, "AutoAWQ")
    compute = work.job["compute"]
    return AutoAWQForCausalLM.from_pretrained(
        str(work.readable),
        torch_dtype=compute if compute == "auto" else getattr(torch, compute),
        trust_remote_code=False,
        use_cache=False,
        device_map="cuda" if torch.cuda.is_available() else "cpu",
        safetensors=True,
    )


def work(job: Json, events: Events) -> Json:
    with folder_for_release4(Path(job["model"]), CONFIG_MAPPING) as readable:
        return quantize_with(apply, job, events, library="AutoAWQ", readable=readable)


if __name__ == "__main__":
    run_worker(work)

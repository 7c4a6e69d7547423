"""AutoAWQ, which is deprecated and kept for comparison: AWQ in its own format."""

from typing import Any

from _shared.protocol import Events, Json, run_worker
from quantize.quantizing import QuantizeJob, quantize_with


def apply(work: QuantizeJob) -> None:
    from awq import AutoAWQForCausalLM

    model: Any = AutoAWQForCausalLM.from_pretrained(
        str(work.source),
        trust_remote_code=False,
        use_cache=False,
        device_map="cpu",
        safetensors=True,
    )
    config = {
        "zero_point": True,
        "q_group_size": work.job["group_size"],
        "w_bit": 4,
        "version": "GEMM",
    }
    windows = work.calibration.windows
    # all windows, and none longer than it takes: it drops longer ones without a word
    model.quantize(
        work.tokenizer,
        calib_data=windows,
        max_calib_samples=len(windows),
        max_calib_seq_len=work.job["seq_len"],
        n_parallel_calib_samples=8,
        quant_config=config,
    )
    model.save_quantized(str(work.output))


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library="AutoAWQ")


if __name__ == "__main__":
    run_worker(work)

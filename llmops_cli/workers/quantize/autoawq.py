"""AutoAWQ, which is deprecated and kept for comparison: AWQ in its own format."""

from typing import Any

from _shared.protocol import Events, run_worker
from quantize.quantizing import Quantizing, quantize_with, show_progress


def apply(work: Quantizing) -> None:
    from awq import AutoAWQForCausalLM

    job = work.job
    model: Any = AutoAWQForCausalLM.from_pretrained(
        str(work.source),
        trust_remote_code=False,
        use_cache=False,
        device_map="cpu",
        safetensors=True,
    )
    # all windows, and none longer than it takes: it drops longer ones without a word
    model.quantize(
        work.tokenizer,
        calib_data=work.calibration.windows,
        max_calib_samples=len(work.calibration.windows),
        max_calib_seq_len=job["seq_len"],
        n_parallel_calib_samples=8,
        quant_config={
            "zero_point": True,
            "q_group_size": job["group_size"],
            "w_bit": 4,
            "version": "GEMM",
        },
    )
    model.save_quantized(str(work.output))


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    show_progress(events)
    return quantize_with(apply, job, events, library="AutoAWQ")


if __name__ == "__main__":
    run_worker(work)

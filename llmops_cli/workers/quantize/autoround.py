"""AutoRound: rounding learned by signed gradient descent, saved as GPTQ, which vLLM and
Transformers load.
"""

from typing import Any

from _shared.protocol import Events, run_worker
from quantize.quantizing import Quantizing, quantize_with, show_progress

STEPS = 200


def apply(work: Quantizing) -> None:
    import torch
    from auto_round import AutoRound

    job = work.job
    length = min(job["seq_len"], max(map(len, work.calibration.windows)))
    work.calibration.keep_whole(length)  # it takes windows of one length
    windows = work.calibration.windows
    batches = [
        {
            "input_ids": torch.tensor([w[:length]]),
            "attention_mask": torch.ones(1, length, dtype=torch.long),
        }
        for w in windows
    ]
    rounding = AutoRound(
        work.model,
        tokenizer=work.tokenizer,
        bits=job["bits"],
        group_size=job["group_size"],
        sym=job["symmetric"],
        dataset=batches,
        nsamples=len(batches),
        seqlen=length,
        iters=STEPS,
        seed=job["seed"],
        batch_size=min(8, len(batches)),
        device_map="cuda" if torch.cuda.is_available() else "cpu",
        enable_torch_compile=False,
    )
    rounding.quantize_and_save(str(work.output), format="auto_gptq")
    if not (
        work.output / "config.json"
    ).exists():  # it makes a folder of its own below the one it is given
        (made,) = (path.parent for path in work.output.glob("*/config.json"))
        for path in made.iterdir():
            path.rename(work.output / path.name)
        made.rmdir()


def work(job: dict[str, Any], events: Events) -> dict[str, Any]:
    show_progress(events)
    return quantize_with(apply, job, events, library="AutoRound")


if __name__ == "__main__":
    run_worker(work)

"""AutoRound: rounding learned by signed gradient descent.

Saved as GPTQ, which vLLM and Transformers load.
"""

from pathlib import Path
from typing import Any

from _shared.protocol import Events, Json, run_worker
from hf.matrices import routers_of
from quantize.quantizing import QuantizeJob, quantize_with

STEPS = 200
MOST_BATCH = 8
PLAIN_BITS = 16
"""Of layers that stay as they are."""


def apply(work: QuantizeJob) -> None:
    import torch
    from auto_round import AutoRound

    job = work.job
    lengths = [len(window) for window in work.calibration.windows]
    longest = max(lengths)
    length = min(job["seq_len"], longest)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    samples = samples_of(work, length)
    rounding = AutoRound(
        work.model,
        tokenizer=work.tokenizer,
        bits=job["bits"],
        group_size=job["group_size"],
        sym=job["symmetric"],
        dataset=samples,
        nsamples=len(samples),
        seqlen=length,
        iters=STEPS,
        seed=job["seed"],
        batch_size=min(MOST_BATCH, len(samples)),
        device_map=device,
        enable_torch_compile=False,
        layer_config={name: {"bits": PLAIN_BITS} for name in routers_of(work.outline)},
    )
    rounding.quantize_and_save(str(work.output), format="auto_gptq")
    lift_subfolder(work.output)


def samples_of(work: QuantizeJob, length: int) -> list[dict[str, Any]]:
    """It takes windows of one length; shorter ones are told as unused."""
    import torch

    work.calibration.keep_whole(length)
    samples = []
    for window in work.calibration.windows:
        ids_BT = torch.tensor([window[:length]])
        mask_BT = torch.ones_like(ids_BT)
        sample = {"input_ids": ids_BT, "attention_mask": mask_BT}
        samples.append(sample)
    return samples


def lift_subfolder(output: Path) -> None:
    """It may make a folder of its own below the one it is given."""
    if (output / "config.json").exists():
        return
    (config,) = output.glob("*/config.json")
    made = config.parent
    for path in made.iterdir():
        path.rename(output / path.name)
    made.rmdir()


def work(job: Json, events: Events) -> Json:
    return quantize_with(apply, job, events, library="AutoRound")


if __name__ == "__main__":
    run_worker(work)

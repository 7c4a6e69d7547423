"""CPU seconds of `llmops quantize --method gptq` as a whole, against a script that calls
llm-compressor directly.

Both start from nothing, import, load, calibrate on the same windows and save. Median of the rounds,
children included.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from text_model import make

from llmops_cli.core.progress import Silent
from llmops_cli.quantize.jobs import OFFLINE
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.paths import WORKERS

BY_HAND = """
import sys
sys.path.insert(0, sys.argv[4])
from _shared.calibration import calibration_of
from pathlib import Path
import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from transformers import AutoModelForCausalLM, AutoTokenizer
source, output, samples = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(len(__import__("os").sched_getaffinity(0)))
tokenizer = AutoTokenizer.from_pretrained(source)
model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
texts = Path(source) / "calibration.jsonl"
windows = calibration_of(tokenizer, texts, samples=samples, seq_len=512, seed=0).windows
data = Dataset.from_dict({"input_ids": windows, "attention_mask": [[1] * len(w) for w in windows]})
weights = QuantizationArgs(
    num_bits=4, type="int", symmetric=True, dynamic=False, strategy="group", group_size=128)
group = QuantizationScheme(targets=["Linear"], weights=weights)
modifier = GPTQModifier(config_groups={"group_0": group}, ignore=["lm_head"])
oneshot(model=model, recipe=[modifier], tokenizer=tokenizer,
        dataset=data, num_calibration_samples=len(windows), max_seq_length=512,
        shuffle_calibration_samples=False)
model.save_pretrained(output, save_compressed=True)
tokenizer.save_pretrained(output)
"""


def cpu_seconds(argv: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=folder, env={**os.environ, **OFFLINE}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument(
        "--model", type=Path, default=Path(tempfile.gettempdir()) / "llmops-text-model"
    )
    args = parser.parse_args()
    model = make(args.model)
    python = ensure_env("quantize", progress=Silent()).python
    ours = []
    theirs = []
    for number in range(args.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            by_hand = [
                python,
                "-c",
                BY_HAND,
                str(model),
                str(folder / "hand"),
                str(args.samples),
                str(WORKERS),
            ]
            job = [
                sys.executable,
                "-m",
                "llmops_cli",
                "quantize",
                str(model),
                "--method",
                "gptq",
                "--samples",
                str(args.samples),
                "--no-quality",
                "--no-verify",
                "-o",
                str(folder / "ours"),
            ]
            pairs = [(theirs, by_hand), (ours, job)]
            for times, argv in pairs if number % 2 else reversed(pairs):
                times.append(cpu_seconds(argv, folder))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"llmops {statistics.median(ours):.1f} CPU s, by hand {statistics.median(theirs):.1f}: "
        f"{ratio:.3f}x"
    )


if __name__ == "__main__":
    main()

"""The quantizers' own scripts beside `llmops quantize`: the same model, windows of calibration text
and groups, and one measure of what each lost.

Prints a row each: size, perplexity, KL divergence from the original, CPU seconds of the whole
process with its imports, and its peak memory. AutoAWQ's script runs on today's Transformers, where
`llmops quantize --engine autoawq` runs on the one that it was last tested with.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import msgspec

from llmops_cli.core.progress import Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.models.tensors import weight_bytes
from llmops_cli.quantize.jobs import OFFLINE
from llmops_cli.runtime.env import ensure_env
from llmops_cli.runtime.job import Json, run_job
from llmops_cli.runtime.paths import WORKERS

HEAD = """
import json, os, sys
import torch
source, output, texts, group, samples, length, workers = sys.argv[1:8]
sys.path.insert(0, workers)
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer
from _shared.calibration import calibration_of
group = int(group)
torch.set_num_threads(len(os.sched_getaffinity(0)))
tokenizer = AutoTokenizer.from_pretrained(source)
shape = {"samples": int(samples), "seq_len": int(length), "seed": 0}
windows = calibration_of(tokenizer, Path(texts), **shape).windows
masks = [[1] * len(window) for window in windows]
"""
LLMCOMPRESSOR = """
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
weights = QuantizationArgs(
    num_bits=4, type="int", symmetric=True, dynamic=False, strategy="group", group_size=group)
scheme = QuantizationScheme(targets=["Linear"], weights=weights)
modifier = GPTQModifier(config_groups={"group_0": scheme}, ignore=["lm_head"])
data = Dataset.from_dict({"input_ids": windows, "attention_mask": masks})
oneshot(model=model, recipe=[modifier], tokenizer=tokenizer, dataset=data,
        num_calibration_samples=len(windows), max_seq_length=int(length),
        shuffle_calibration_samples=False)
model.save_pretrained(output, save_compressed=True)
"""
GPTQMODEL = """
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
from gptqmodel import GPTQModel, QuantizeConfig
config = QuantizeConfig(
    bits=4, group_size=group, desc_act=False, act_group_aware=True, device="cpu")
samples = [{"input_ids": w, "attention_mask": m} for w, m in zip(windows, masks)]
model = GPTQModel.load(source, config)
model.quantize(samples, batch_size=1)
model.save(output)
"""
AUTOAWQ = """
from awq import AutoAWQForCausalLM
model = AutoAWQForCausalLM.from_pretrained(
    source, torch_dtype=torch.float32, device_map="cpu", use_cache=False)
config = {"zero_point": True, "q_group_size": group, "w_bit": 4, "version": "GEMM"}
model.quantize(tokenizer, calib_data=windows, max_calib_samples=len(windows),
               max_calib_seq_len=int(length), n_parallel_calib_samples=8, quant_config=config)
model.save_quantized(output)
"""
TAIL = """
tokenizer.save_pretrained(output)
"""
SCRIPTS = {
    "llm-compressor gptq": ("quantize", LLMCOMPRESSOR),
    "gptqmodel gptq": ("quantize", GPTQMODEL),
    "autoawq awq, Transformers 5.17": ("quantize", AUTOAWQ),
}
WINDOW = 512
KILOBYTES_PER_MB = 1024


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one script cost."""

    name: str
    folder: Path
    cpu_s: float
    peak_mb: float
    error: str = ""


def run_script(name: str, folder: Path, args: argparse.Namespace) -> Row:
    environment, code = SCRIPTS[name]
    python = ensure_env(environment, progress=Silent()).python
    argv = [
        python,
        "-c",
        HEAD + code + TAIL,
        str(args.model),
        str(folder),
        str(args.texts),
        str(args.group_size),
        str(args.samples),
        str(args.seq_len),
        str(WORKERS),
    ]
    log = folder.with_name(f"{folder.name}.log")
    with log.open("w") as file:
        run = subprocess.Popen(argv, env={**os.environ, **OFFLINE}, stdout=file, stderr=file)
        _, status, used = os.wait4(run.pid, 0)
    error = ""
    if os.waitstatus_to_exitcode(status):
        error = log.read_text().strip().splitlines()[-1]
    return Row(
        name=name,
        folder=folder,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss / KILOBYTES_PER_MB,
        error=error,
    )


def quality(rows: list[Row], args: argparse.Namespace) -> Json:
    models = [{"path": str(row.folder), "format": "folder"} for row in rows]
    job = JobSpec(
        name="quality",
        python=ensure_env("quantize", progress=Silent()).python,
        program="hf.quality",
        input={
            "base": str(args.model),
            "text": str(args.heldout),
            "tokens": args.eval_tokens,
            "window": WINDOW,
            "threads": len(os.sched_getaffinity(0)),
            "models": models,
            "roundings": [],
        },
        env=OFFLINE,
    )
    with tempfile.TemporaryDirectory() as scratch:
        return run_job(job, folder=Path(scratch), progress=Silent()).output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--group-size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--eval-tokens", type=int, default=4096)
    parser.add_argument("--only", default="", help="names of scripts, with commas")
    args = parser.parse_args()
    wanted = [name for name in SCRIPTS if not args.only or name in args.only.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        rows = [run_script(name, Path(scratch) / name, args) for name in wanted]
        for row in rows:
            if row.error:
                print(f"| {row.name} | {row.error[:90]} |")
        tell([row for row in rows if not row.error], args)


def tell(made: list[Row], args: argparse.Namespace) -> None:
    found = quality(made, args)
    base = found["base"]["perplexity"]
    for row, figures in zip(made, found["models"], strict=True):
        size_mb = weight_bytes(row.folder) / 1e6
        cost = f"{row.cpu_s:.1f} | {row.peak_mb:.0f} |"
        if "error" in figures:
            print(f"| {row.name} | {size_mb:.2f} | {figures['error'][:90]} | | {cost}")
            continue
        growth = figures["perplexity"] / base - 1
        divergence = figures["kl_divergence"]
        print(f"| {row.name} | {size_mb:.2f} | {growth:+.2%} | {divergence:.5f} | {cost}")


if __name__ == "__main__":
    main()

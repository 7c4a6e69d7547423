"""One rank of a training run: builds the parts, runs the loop, saves the model.

Needs torch, transformers, tokenizers.
"""

import time
from dataclasses import fields, replace
from pathlib import Path

import torch
from transformers import AutoTokenizer

from _shared.protocol import Events, Json, peak_rss_bytes, run_worker
from train import ranks as processes
from train.curve import Curve
from train.loop import run
from train.model import make_model
from train.precision import resolve_precision
from train.settings import Settings
from train.source import source_of
from train.strategies.table import strategy_named


def work(job: Json, events: Events) -> Json:
    ranks = processes.join()
    try:
        return train(job, events, ranks)
    finally:
        processes.leave()


def train(job: Json, events: Events, ranks: processes.Ranks) -> Json:
    start_s = time.monotonic()
    cpu_start_s = time.process_time()
    settings = read_settings(job["settings"], ranks)
    torch.set_num_threads(settings.threads)
    if ranks.device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"], trust_remote_code=False)
    model = make_model(settings, len(tokenizer))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    strategy = strategy_named(settings.strategy)(model, settings, ranks)
    curve = Curve(settings, events)
    source = source_of(job, settings)
    last = run(strategy, source, settings, watchers=[curve])
    output = Path(job["output"])
    strategy.save_model(output)
    if ranks.is_first:
        tokenizer.save_pretrained(output)
    return {
        **curve.result(),
        "loss": last.loss if last else None,
        "steps": last.number if last else 0,
        "parameters": parameters,
        "in_force": strategy.in_force()._asdict(),
        "precision": settings.precision,
        "wall_s": time.monotonic() - start_s,
        "cpu_s": time.process_time() - cpu_start_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def read_settings(recipe: Json, ranks: processes.Ranks) -> Settings:
    """The recipe's fields that concern a rank."""
    names = [field.name for field in fields(Settings)]
    settings = Settings(**{name: recipe[name] for name in names})
    precision = resolve_precision(settings.precision, ranks.device)
    return replace(settings, precision=precision)


if __name__ == "__main__":
    run_worker(work)

"""One rank of a training run: builds the parts, runs the loop, saves the model.

Needs torch, transformers, tokenizers.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from _shared.protocol import Events, Json, peak_rss_bytes, run_worker
from train import ranks as processes
from train.allocated import as_json, measured
from train.checkpoints.checkpoints import Run
from train.curve import Curve
from train.data.plan import Data, open_data
from train.data.templates import source_of
from train.evaluate import Evaluation
from train.export import export
from train.loop import Watcher
from train.model import make_model
from train.precision import resolve_precision
from train.ranks import Ranks
from train.safety import Safety, Surroundings, surrounded
from train.settings import Settings
from train.speed import Arithmetic, Stopwatch
from train.strategies.in_force import check
from train.strategies.strategy import Strategy
from train.strategies.table import ON_META, strategy_named
from train.task import Task
from train.trackers import tracking
from train.vocabulary import match


def work(job: Json, events: Events) -> Json:
    ranks = processes.join()
    settings = read_settings(job["settings"], ranks)
    torch.set_num_threads(settings.threads)
    if ranks.device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    try:
        with surrounded(Path(job["output"]), ranks, settings, events) as around:
            return train(job, settings, around, events)
    finally:
        processes.leave()


def read_settings(recipe: Json, ranks: Ranks) -> Settings:
    """The recipe's fields that concern a rank."""
    names = [field.name for field in fields(Settings)]
    settings = Settings(**{name: recipe[name] for name in names})
    precision = resolve_precision(settings.precision, ranks.device)
    return replace(settings, precision=precision)


def train(
    job: Json,
    settings: Settings,
    around: Surroundings,
    events: Events,
) -> Json:
    """The steps of the run and the model's files; what the report says of them."""
    process = Stopwatch()
    tokenizer = tokenizer_of(job)
    model = make_model(settings, len(tokenizer), on_meta=settings.strategy in ON_META)
    match(model, tokenizer, settings)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    built = strategy_named(settings.strategy)(model, settings, around.ranks)
    check(built.in_force(), settings, around.ranks)
    strategy, first_step = measured(built, settings)
    data = open_data(job["data"], tokenizer)
    curve = Curve(settings, Arithmetic(**job["arithmetic"]), events)
    trackers = tracking(job["trackers"], around, job["settings"])
    watchers: list[Watcher] = [curve, trackers]
    keepers: dict[str, Any] = {"curve": curve}
    evaluation = evaluation_of(job, settings, around, events, strategy, data, tokenizer)
    if evaluation is not None:
        watchers.append(evaluation)
        keepers["evaluation"] = evaluation
    run = Run(strategy, data.training, settings, around.ranks, job["digests"])
    safety = Safety(around, run, keepers=keepers, parameters=parameters, resume=job["resume"])
    if evaluation is not None:
        evaluation.checkpoints = safety.checkpoints
    steps = Stopwatch()
    last = safety.run(watchers)
    steps.stop()
    trackers.close()
    used = data.training.used().json()
    exported = export(around, strategy, data.training, tokenizer, held_out=data.validation)
    return {
        **safety.report(),
        **curve.result(),
        **exported,
        "validation": evaluation.result() if evaluation else [],
        "loss": last.loss if last else curve.last_loss,
        "steps": settings.steps,
        "parameters": parameters,
        "in_force": strategy.in_force()._asdict(),
        "plan": as_json(first_step.allocated()),
        "used": used,
        "training_cpu_s": steps.cpu_s,
        "tokens_per_s": curve.session_tokens / steps.wall_s,
        "wall_s": process.wall_s,
        "cpu_s": process.cpu_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def tokenizer_of(job: Json) -> Any:
    """With the chat template that is trained by, which is saved with the model."""
    tokenizer = AutoTokenizer.from_pretrained(job["tokenizer"], trust_remote_code=False)
    chosen = job["data"]["template"]
    if chosen is not None:
        tokenizer.chat_template = source_of(chosen)
    return tokenizer


def evaluation_of(
    job: Json,
    settings: Settings,
    around: Surroundings,
    events: Events,
    strategy: Strategy,
    data: Data,
    tokenizer: Any,
) -> Evaluation | None:
    """None where nothing is held out."""
    if data.validation is None:
        return None
    task = task_of(job, tokenizer, settings)
    return Evaluation(strategy, data.validation, settings, events, task=task, phase=around.phase)


def task_of(job: Json, tokenizer: Any, settings: Settings) -> Task | None:
    """The demo's questions, where they are what is trained."""
    if job["task"] is None:
        return None
    return Task(Path(job["task"]), tokenizer, settings)


if __name__ == "__main__":
    run_worker(work)
